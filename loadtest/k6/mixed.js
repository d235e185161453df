// Good requests with bad ones among them: every bad one gets its own refusal, every good one its token.

import http from 'k6/http'
import { basic, client, grant, isRefusal, isToken, post, steady } from './jeton.js'

http.setResponseCallback(http.expectedStatuses(200, 400, 401, 429))
export const options = steady()

// Of a hundred requests; the rest is good.
const bad = [
  [8, () => isRefusal(token(grant, { ...client(), secret: 'wrong' }), 401, 'invalid_client')],
  [5, () => isRefusal(token(grant, { id: 'nobody', secret: 'wrong' }), 401, 'invalid_client')],
  [5, () => isRefusal(token({ grant_type: 'password' }, client()), 400, 'unsupported_grant_type')],
  [5, () => isRefusal(token({ ...grant, scope: 'everything' }, client()), 400, 'invalid_scope')],
  [5, () => isRefusal(token({ ...grant, resource: 'https://elsewhere.example' }, client()), 400, 'invalid_target')],
  [2, () => isRefusal(token({}, client()), 400, 'invalid_request')],
]

function token(form, who) {
  return post('/oauth2/token', form, basic(who))
}

export default function () {
  let chance = Math.random() * 100
  for (const [share, ask] of bad) {
    if (chance < share) return ask()
    chance -= share
  }
  isToken(token(grant, client()))
}
