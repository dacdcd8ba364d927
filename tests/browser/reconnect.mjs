// A browser's EventSource whose connection is lost: cut while the server lives, it goes on without
// a gap; when the server was killed and came back, it is told that there is one.

import { launch } from './chromium.mjs'
import { cuttingProxy, eventually, main, publish, restart, same, subscribers } from './lib.mjs'

const topic = 'reconnect'
const cuts = 3
const perCut = 20

await main(async () => {
  const browser = await launch()
  const proxy = await cuttingProxy()
  const page = await browser.newPage()
  // The script runs in the server's own origin: no CORS is asked for.
  await page.goto(proxy.url.href)
  await page.evaluate((topic) => {
    window.seen = []
    window.gaps = []
    window.opened = 0
    const source = new EventSource(`/events?topic=${topic}`)
    source.onopen = () => window.opened++
    source.onmessage = (event) => window.seen.push(Number(event.data))
    source.addEventListener('fanfare.gap', (event) => window.gaps.push(JSON.parse(event.data)))
  }, topic)
  const state = () => page.evaluate(() => ({ seen: window.seen, gaps: window.gaps, opened: window.opened }))
  const received = (count) => async () => (await state()).seen.length >= count
  await eventually('the page subscribes', async () => (await subscribers(topic)) === 1)

  // Shortens the time until a browser comes back, 3 s by default.
  await publish({ topics: [topic], data: '0', retry: 100 })
  let number = 1
  for (let cut = 1; cut <= cuts; cut++) {
    for (let i = 0; i < perCut; i++) await publish({ topics: [topic], data: String(number++) })
    await eventually('the events before the cut', received(number - perCut / 2))
    proxy.cut()
    for (let i = 0; i < perCut; i++) await publish({ topics: [topic], data: String(number++) })
    await eventually(`all events after cut ${cut}`, received(number))
  }
  const { seen, gaps, opened } = await state()
  same(seen, Array.from({ length: number }, (_, i) => i), 'each event once and in order')
  same(gaps, [], 'no gap while the server lives')
  same(opened, 1 + cuts, 'the browser came back after each cut')
  console.log(`${cuts} cuts: ${number} events, each once`)

  // Another life of the server does not know what the page has seen, and says so.
  await restart()
  await publish({ topics: [topic], data: '1000' })
  await eventually('the event of the new life', async () => (await state()).seen.includes(1000))
  const after = await state()
  same(after.gaps.length, 1, 'one gap is told')
  same(after.gaps[0].reason, 'epoch', 'the reason')
  same(after.seen.slice(number), [1000], 'what the new life has, once')
  console.log(`restart: ${JSON.stringify(after.gaps[0])}`)

  await browser.close()
  proxy.close()
})
