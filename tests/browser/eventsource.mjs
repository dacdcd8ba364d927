// The npm package `eventsource` in node: subscribes to two topics, gets typed events and exact
// data, and goes on without a gap when its connection was cut.

import { EventSource } from 'eventsource'
import { cuttingProxy, eventually, main, publish, same, subscribers } from './lib.mjs'

const data = 'two lines\nand ünïcödé 🎺\n'

await main(async () => {
  const proxy = await cuttingProxy()
  const source = new EventSource(new URL('/events?topic=a&topic=b', proxy.url))
  const seen = []
  const see = ({ type, data, lastEventId }) => seen.push({ type, data, id: lastEventId })
  for (const type of ['message', 'alert', 'fanfare.gap']) source.addEventListener(type, see)
  await eventually('it subscribes', async () => (await subscribers('a')) === 1)
  same(await subscribers('b'), 1, 'subscribers of the second topic')

  const expected = []
  const send = async (topics, type, data, more) => {
    const event = type === 'message' ? {} : { event: type }
    expected.push({ type, data, id: await publish({ topics, data, ...event, ...more }) })
  }
  await send(['a'], 'message', data, { retry: 100 })
  await send(['b', 'a'], 'alert', '')
  await publish({ topics: ['c'], data: 'for others' })
  await send(['b'], 'message', '1')
  await eventually('the events', () => seen.length === expected.length)

  proxy.cut()
  for (let number = 2; number < 50; number++) {
    await send([number % 2 ? 'a' : 'b'], 'message', String(number))
  }
  await eventually('the events after the cut', () => seen.length >= expected.length)
  await send(['a', 'b'], 'alert', 'live again')
  await eventually('a live event', () => seen.length >= expected.length)
  same(seen, expected, 'each event once, in order, without a gap')
  console.log(`${seen.length} events, each once`)

  source.close()
  await eventually('it leaves', async () => (await subscribers('a')) === 0)
  proxy.close()
})
