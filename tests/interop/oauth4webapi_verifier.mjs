// oauth4webapi: a resource server by the letter of RFC 9068, whose requests carry the token as RFC 6750 has it.
import * as oauth from 'oauth4webapi'
import { ALGORITHM, run } from './verifier.mjs'

const jwks_uri = process.env.JWKS_URL
const options = { [oauth.allowInsecureRequests]: true, [oauth.clockTolerance]: 0, signingAlgorithms: [ALGORITHM] }
const servers = {}

async function verify (token, issuer, audience) {
  // One object per issuer: the library keeps the keys by it.
  servers[issuer] ??= { issuer, jwks_uri }
  const request = new Request('https://api.example.com/', { headers: { authorization: `Bearer ${token}` } })
  return oauth.validateJwtAccessToken(servers[issuer], request, audience, options)
}

function reason (error) {
  if (error.code === oauth.KEY_SELECTION) return 'key'
  if (error.code === oauth.JWT_TIMESTAMP_CHECK) return { exp: 'expired' }[error.cause.claim]
  if (error.code === oauth.JWT_CLAIM_COMPARISON) return { aud: 'audience', iss: 'issuer' }[error.cause.claim]
  if (error.message === 'JWT signature verification failed') return 'signature'
}

await run(verify, reason)
