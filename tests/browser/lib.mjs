// What the scripts share: waiting, publishing, and a proxy that cuts connections.
//
// A script gets the server's URL as its argument, prints what it sees, and exits non-zero when
// something does not come about.

import { createServer, connect } from 'node:net'
import { createInterface } from 'node:readline'

/** How long anything may take, far more than it needs. */
export const patience = 60_000

/** The server under test, of a script that gets one. */
export const url = process.argv[2] && new URL(process.argv[2])

/** Where that server answers operators, of a script that is told. */
export const adminUrl = process.argv[3] && new URL(process.argv[3])

/** Waits until `ask` gives something true, and returns that. */
export async function eventually(what, ask) {
  const deadline = Date.now() + patience
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not within ${patience} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Publishes one JSON message and returns its id. */
export async function publish(message) {
  const response = await fetch(new URL('/publish', url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  })
  if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`)
  return (await response.json()).id
}

/** How many subscribers the topic has. */
export async function subscribers(topic) {
  const response = await fetch(new URL(`/subscribers?topic=${encodeURIComponent(topic)}`, url))
  return (await response.json()).subscribers
}

/** Fails unless both are the same, as JSON. */
export function same(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (a !== b) throw new Error(`${what}: ${a}, expected ${b}`)
}

/** A proxy in front of the server whose connections can be cut while the server lives. */
export async function cuttingProxy() {
  const sockets = new Set()
  const proxy = createServer((client) => {
    const server = connect(Number(url.port), url.hostname)
    for (const [one, other] of [[client, server], [server, client]]) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    url: new URL(`http://127.0.0.1:${proxy.address().port}`),
    cut: () => sockets.forEach((socket) => socket.destroy()),
    close: () => {
      proxy.close()
      sockets.forEach((socket) => socket.destroy())
    },
  }
}

/** Has the server killed and another one started on its port. */
export async function restart() {
  const lines = createInterface({ input: process.stdin })
  const answered = new Promise((resolve) => lines.once('line', resolve))
  console.log('restart')
  await answered
  lines.close()
}

/** Runs a script: its failure is the process's, and nothing left open keeps it alive. */
export async function main(script) {
  const timer = setTimeout(() => fail(new Error('the script hangs')), 3 * patience)
  const fail = (error) => {
    console.log(error.stack ?? error)
    process.exit(1)
  }
  try {
    await script()
  } catch (error) {
    fail(error)
  }
  clearTimeout(timer)
  console.log('passed')
  process.exit(0)
}
