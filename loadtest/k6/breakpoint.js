// More and more until it breaks: stops where the threshold is crossed, and k6 then ends with 99. What breaks first on one
// machine is mostly k6; for the limit of the server there is 'loadgen find-limit'.
//
//   MOST   requests per second at the end (default 20000)

import { basic, client, duration, grant, isToken, p99, post, ramping } from './jeton.js'

export const options = {
  scenarios: { breakpoint: ramping(100, [{ target: Number(__ENV.MOST || 20000), duration }]) },
  thresholds: {
    http_req_duration: [{ threshold: `p(99)<${4 * p99}`, abortOnFail: true, delayAbortEval: '2s' }],
    http_req_failed: [{ threshold: 'rate<0.01', abortOnFail: true, delayAbortEval: '2s' }],
  },
}

export default function () {
  isToken(post('/oauth2/token', grant, basic(client())))
}
