// From calm to five times as much within a second, and back: what comes is answered, and the calm after is as before.

import http from 'k6/http'
import { basic, client, duration, grant, isToken, p99, post, ramping, rate, thresholds } from './jeton.js'

// A server may say that it has too much to do, and must not say it for long.
http.setResponseCallback(http.expectedStatuses(200, 503))
const seconds = Number(duration.replace('s', ''))
const part = (share) => `${Math.max(1, Math.round(seconds * share))}s`

export const options = {
  scenarios: {
    spike: ramping(rate / 5, [
      { target: rate / 5, duration: part(0.3) },
      { target: rate, duration: '1s' },
      { target: rate, duration: part(0.3) },
      { target: rate / 5, duration: '1s' },
      { target: rate / 5, duration: part(0.3) },
    ]),
  },
  thresholds: { ...thresholds, checks: ['rate>0.99'], http_req_duration: [`p(99)<${4 * p99}`, `p(50)<${p99}`] },
}

export default function () {
  isToken(post('/oauth2/token', grant, basic(client())))
}
