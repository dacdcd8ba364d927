// The operator's dashboard, used as an operator uses it: the figures go live, a connection is closed
// by clicking, and names that peers have chosen stay text.

import { launch } from './chromium.mjs'
import { adminUrl, eventually, main, publish, same, url } from './lib.mjs'

const markup = '<img src=x onerror="document.title=1">'

/** Subscribes, and tells when the stream has ended. */
async function subscribe(topic) {
  const response = await fetch(new URL(`/events?topic=${encodeURIComponent(topic)}`, url))
  same(response.status, 200, 'the subscription is taken')
  const subscription = { ended: false }
  const read = async () => {
    for await (const _ of response.body);
  }
  read().finally(() => (subscription.ended = true)).catch(() => {})
  return subscription
}

await main(async () => {
  const browser = await launch()
  const context = await browser.newContext({
    viewport: { width: 1280, height: 1050 }, colorScheme: 'light', reducedMotion: 'reduce',
  })
  const page = await context.newPage()
  const faults = []
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.location().url}: ${message.text()}`)
  })
  const asked = []
  let answer = 'dismiss'
  page.on('dialog', async (dialog) => {
    asked.push(dialog.message())
    await dialog[answer]()
  })

  await page.goto(adminUrl.href)
  const text = (selector) => page.textContent(selector)
  await eventually('it is live', async () => (await text('#state')) === 'live')
  await eventually('nobody is there', async () => (await text('#subscribers')) === '0')

  // The figures move by themselves.
  const victim = await subscribe(markup)
  const other = await subscribe('prices')
  await eventually('two subscribers are shown', async () => (await text('#subscribers')) === '2')
  const timer = setInterval(() => publish({ topics: ['prices', markup], data: 'tick' }).catch(() => {}), 20)
  const moves = (id) => eventually(`${id} goes live`, async () => parseFloat(await text(id)) > 0)
  for (const id of ['#published', '#deliveries', '#bytes', '#p50', '#p99']) await moves(id)
  const busy = async () => (await page.locator('#cores tr').allTextContents()).length === 2
  await eventually('each core has its row', busy)
  const line = () => page.locator('.tile polyline').first().getAttribute('points')
  await eventually('the sparkline grows', async () => (await line()).split(' ').length > 3)

  // A name is text, wherever it stands.
  await page.click('#refresh')
  const row = page.locator('#list .connection').filter({ hasText: markup })
  await eventually('the connection is listed', async () => (await row.count()) === 1)
  const topic = page.locator('#topics .name').filter({ hasText: markup })
  await eventually('the topic is listed', async () => (await topic.count()) === 1)
  same(await page.locator('img').count(), 0, 'no markup of a peer becomes an element')

  // Closing asks first, and takes no for an answer.
  await row.getByRole('button').click()
  await eventually('it asks', () => asked.length === 1)
  answer = 'accept'
  same([victim.ended, await row.count()], [false, 1], 'who says no closes nothing')
  await row.getByRole('button').click()
  await eventually('the stream has ended', () => victim.ended)
  await eventually('it is listed no longer', async () => (await row.count()) === 0)
  await eventually('one subscriber is left', async () => (await text('#subscribers')) === '1')
  await eventually('the end has its reason', async () => /operator\s*1/.test(await text('#ends')))
  same([asked.length, other.ended], [2, false], 'nothing else was asked or closed')

  // On a phone nothing is wider than the screen.
  await page.setViewportSize({ width: 360, height: 740 })
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
  same(widths, [360, 360], 'the page does not scroll sideways')
  same((await text('#error')).trim(), '', 'no error is shown')
  same(await page.title(), 'Fanfare: operator', 'no script of a peer has run')

  clearInterval(timer)
  same(faults, [], 'nothing went wrong on the page')
  await browser.close()
})
