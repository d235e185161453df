// Token requests at a constant rate, the secret in the body.

import { client, grant, isToken, post, steady } from './jeton.js'

export const options = steady()

export default function () {
  const { id, secret } = client()
  isToken(post('/oauth2/token', { ...grant, client_id: id, client_secret: secret }))
}
