// A resource server that introspects: every virtual user gets a token now and then and asks about it again and again.
//
//   JETON_SERVER_ID, JETON_SERVER_SECRET   a client with --serves, which is who asks

import { check } from 'k6'
import { basic, client, grant, post, steady } from './jeton.js'

export const options = steady()

const server = { id: __ENV.JETON_SERVER_ID, secret: __ENV.JETON_SERVER_SECRET }
let token = null

export default function () {
  if (token === null || Math.random() < 0.01) {
    token = post('/oauth2/token', grant, basic(client())).json().access_token
  }
  const answer = post('/oauth2/introspect', { token }, basic(server))
  check(answer, {
    'the token is active': (answer) => answer.status === 200 && answer.json().active === true,
    'it says whose it is': (answer) => answer.status === 200 && answer.json().client_id !== undefined,
  })
}
