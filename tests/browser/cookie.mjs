// A page of the same site that has logged in: its cookie is what `EventSource` brings. Without it nothing is
// received, and a page of another origin, to whose requests the browser adds the same cookie, is refused.

import { createServer } from 'node:http'

import { launch } from './chromium.mjs'
import { eventually, main, same, url } from './lib.mjs'

const [token, topic] = process.argv.slice(4)
const events = new URL(`/events?topic=${encodeURIComponent(topic)}`, url).href

/** Publishes as who holds the token. */
async function publish(data) {
  const response = await fetch(new URL(`/publish?topic=${encodeURIComponent(topic)}`, url), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    body: data,
  })
  same(response.status, 202, 'publishing')
}

/** Subscribes on a page; gives the status of the answer, which the browser may keep from the page. */
async function subscribe(page) {
  const session = await page.context().newCDPSession(page)
  await session.send('Network.enable')
  const asked = new Set()
  session.on('Network.requestWillBeSent', ({ requestId, request }) => {
    if (request.url === events) asked.add(requestId)
  })
  const statuses = []
  session.on('Network.responseReceivedExtraInfo', (answer) => statuses.push(answer))
  await page.evaluate((events) => {
    window.seen = []
    window.source = new EventSource(events, { withCredentials: true })
    window.source.onmessage = (event) => window.seen.push(event.data)
    window.source.onerror = () => window.seen.push(`error in state ${window.source.readyState}`)
  }, events)
  const answer = () => statuses.find(({ requestId }) => asked.has(requestId))
  const { statusCode } = await eventually('there is an answer', answer)
  await session.detach()
  return statusCode
}

const seen = (page) => page.evaluate(() => window.seen)
const closed = ['error in state 2']

await main(async () => {
  const elsewhere = createServer((_, response) => {
    response.setHeader('content-type', 'text/html')
    response.end('<title>a page of another origin</title>')
  })
  await new Promise((resolve) => elsewhere.listen(0, url.hostname, resolve))

  const browser = await launch()
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(url.href)
  same(await subscribe(page), 401, 'without a cookie')
  await eventually('the source gives up', async () => (await seen(page)).length > 0)
  same(await seen(page), closed, 'without a cookie')

  // The page logs in, as a script of the site does; the site itself would set it HttpOnly.
  await page.evaluate((token) => {
    document.cookie = `fanfare_token=${token}; path=/; SameSite=Strict`
  }, token)
  same(await subscribe(page), 200, 'with the cookie')
  await publish('for who is logged in')
  await eventually('the event is received', async () => (await seen(page)).length > 0)
  same(await seen(page), ['for who is logged in'], 'with the cookie')

  // Cookies know no ports: the other page has the same, and is of the same site to the browser.
  const other = await context.newPage()
  await other.goto(`http://${url.hostname}:${elsewhere.address().port}/`)
  same((await context.cookies(other.url())).length, 1, 'cookies of the other page')
  same(await subscribe(other), 403, 'from another origin')
  await eventually('the source gives up', async () => (await seen(other)).length > 0)
  same(await seen(other), closed, 'from another origin')

  // Logged out, it does not come back; the stream that has begun goes on.
  await publish('still there')
  await eventually('the event is received', async () => (await seen(page)).length > 1)
  await context.clearCookies()
  await page.evaluate(() => window.source.close())
  same(await subscribe(page), 401, 'logged out')
  await browser.close()
  elsewhere.close()
})
