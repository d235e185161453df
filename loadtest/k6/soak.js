// An hour at a constant rate, unless DURATION says otherwise: what grows slowly shows here.

import { basic, client, grant, isToken, post, steady } from './jeton.js'

export const options = steady()
options.scenarios.steady.duration = __ENV.DURATION || '1h'

export default function () {
  isToken(post('/oauth2/token', grant, basic(client())))
}
