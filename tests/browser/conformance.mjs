// A browser's EventSource in the cases of sse-connection-cases.json that are about what it enforces.
//
// Reads one line of JSON, a list of what to open from where, and prints what each stream has seen
// whenever that changes. Ends when its input does.

import { createInterface } from 'node:readline'
import { launch } from './chromium.mjs'
import { main } from './lib.mjs'

await main(async () => {
  const lines = createInterface({ input: process.stdin })
  const ended = new Promise((resolve) => lines.once('close', resolve))
  const tasks = JSON.parse(await new Promise((resolve) => lines.once('line', resolve)))
  const browser = await launch()
  await Promise.all(tasks.map((task) => open(browser, task)))
  await ended
  await browser.close()
})

/** Opens a stream in a page of its own, which shares no cookies with the others. */
async function open(browser, task) {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.exposeFunction('report', (seen) => console.log(JSON.stringify({ case: task.case, seen })))
  await page.goto(task.page)
  await page.evaluate(({ url, withCredentials }) => {
    // Cookies know no ports: the stream's origin has it too.
    document.cookie = 'fanfare=1; path=/'
    const names = ['connecting', 'open', 'closed']
    const seen = { states: [names[0]], events: [], errors: [], events_before_error: null }
    const source = new EventSource(url, { withCredentials })
    const report = () => {
      const state = names[source.readyState]
      if (state !== seen.states.at(-1)) seen.states.push(state)
      window.report(seen)
    }
    source.onopen = report
    source.onmessage = ({ type, data, lastEventId }) => {
      seen.events.push({ type, data, lastEventId })
      report()
    }
    source.onerror = () => {
      seen.events_before_error ??= seen.events.length
      seen.errors.push('an error event')
      report()
    }
  }, task)
}
