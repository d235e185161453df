// jsonwebtoken with jwks-rsa, as passport-jwt and much else has them: a resource server that knows the address of the
// keys, the issuer and its own name. It knows no EdDSA.
import jwt from 'jsonwebtoken'
import jwks, { SigningKeyNotFoundError } from 'jwks-rsa'
import { ALGORITHM, run } from './verifier.mjs'

const keys = jwks({ jwksUri: process.env.JWKS_URL })
const required = ['sub', 'exp', 'iat', 'jti', 'client_id']

async function verify (token, issuer, audience) {
  const key = await keys.getSigningKey(jwt.decode(token, { complete: true }).header.kid)
  const options = { algorithms: [ALGORITHM], issuer, audience, complete: true }
  const { header, payload } = jwt.verify(token, key.getPublicKey(), options)
  if (header.typ !== 'at+jwt' || required.some(name => !(name in payload))) throw new Error('no access token')
  return payload
}

function reason (error) {
  if (error instanceof SigningKeyNotFoundError) return 'key'
  if (error instanceof jwt.TokenExpiredError) return 'expired'
  if (error.message === 'invalid signature') return 'signature'
  return /^jwt (audience|issuer) invalid/.exec(error.message)?.[1]
}

await run(verify, reason)
