// Pages that the load tester has written, at the width of a desk and of a phone, light and dark: they
// fetch nothing, nothing goes wrong, no page is wider than its window, and every line is in a colour.

import { launch } from './chromium.mjs'
import { main, same } from './lib.mjs'

await main(async () => {
  const browser = await launch()
  for (const url of process.argv.slice(2)) {
    for (const width of [1280, 390]) {
      const inks = []
      for (const colorScheme of ['light', 'dark']) {
        const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme })
        const [faults, fetched] = [[], []]
        page.on('pageerror', (error) => faults.push(String(error)))
        page.on('console', (message) => faults.push(message.text()))
        page.on('request', (request) => fetched.push(request.url()))
        await page.goto(url)
        const seen = await page.evaluate(look)
        same(faults, [], 'nothing goes wrong')
        same(fetched, [url], 'nothing is fetched')
        same(seen.tooWide, 0, `pixels beyond a window of ${width}`)
        if (seen.plots < 1 || seen.hidden > 0) throw new Error(`plots: ${JSON.stringify(seen)}`)
        if (seen.inks.includes('none')) throw new Error(`a line without a colour: ${seen.inks}`)
        inks.push(seen.inks.join())
        await page.close()
      }
      if (inks[0] === inks[1]) throw new Error('dark is as light')
    }
    console.log(`${url}: fine`)
  }
  await browser.close()
})

/** Runs in the page. */
function look() {
  const plots = [...document.querySelectorAll('figure svg')]
  const lines = [...document.querySelectorAll('figure polyline')]
  const root = document.documentElement
  return {
    tooWide: root.scrollWidth - root.clientWidth,
    plots: plots.length,
    hidden: plots.filter((plot) => plot.getBoundingClientRect().height < 100).length,
    inks: [...new Set(lines.map((line) => getComputedStyle(line).stroke))].sort(),
  }
}
