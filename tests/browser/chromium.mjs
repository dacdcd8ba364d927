// The browser that the scripts drive.

import { chromium } from 'playwright-core'
import { patience } from './lib.mjs'

/** Starts Debian's Chromium; it looks for nothing outside this machine. */
export function launch() {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    timeout: patience,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
