// The page at `/`, used as a person uses it: choose a topic, watch it live, publish, see the count.

import { launch } from './chromium.mjs'
import { eventually, main, publish, same, url } from './lib.mjs'

const topic = 'news & weather'

await main(async () => {
  const browser = await launch()
  const page = await browser.newPage()
  const faults = []
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    if (message.type() === 'error') faults.push(`${message.location().url}: ${message.text()}`)
  })

  await page.goto(url.href)
  await page.fill('#topic', topic)
  await page.click('#connect')
  const count = () => page.textContent('#subscribers')
  await eventually('one subscriber is shown', async () => /\b1\b/.test(await count()))
  console.log(`state: ${await page.textContent('#state')}`)

  // From elsewhere to the page.
  const id = await publish({ topics: [topic], data: 'from elsewhere' })
  const events = page.locator('#events li.event')
  const shown = (text) => events.filter({ hasText: text })
  await eventually('the event is shown', async () => (await shown('from elsewhere').count()) === 1)
  console.log(`event ${id}: ${await shown('from elsewhere').textContent()}`)

  // From the form to the page, with a type of its own and markup that must stay text.
  const data = '<b>from the form</b> é\nsecond line'
  await page.fill('#event-type', 'alert')
  await page.fill('#data', data)
  await page.click('#publish')
  await eventually('the form has published', async () => (await shown('from the form').count()) === 1)
  const text = await shown('from the form').textContent()
  for (const part of ['alert', '<b>from the form</b> é', 'second line']) {
    if (!text.includes(part)) throw new Error(`${JSON.stringify(part)} is not in ${text}`)
  }

  // A second visitor is counted, and no longer when it has left.
  const other = await browser.newPage()
  await other.goto(url.href)
  await other.fill('#topic', topic)
  await other.click('#connect')
  await eventually('two subscribers are shown', async () => /\b2\b/.test(await count()))
  await other.close()
  await eventually('one is shown again', async () => /\b1\b/.test(await count()))

  same(await events.count(), 2, 'each event is shown once')
  same((await page.textContent('#error'))?.trim() ?? '', '', 'no error is shown')
  same(faults, [], 'nothing went wrong on the page')
  await browser.close()
})
