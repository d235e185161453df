// Token requests at a constant rate, the secret by Basic.

import { basic, client, grant, isToken, post, steady } from './jeton.js'

export const options = steady()

export default function () {
  isToken(post('/oauth2/token', grant, basic(client())))
}
