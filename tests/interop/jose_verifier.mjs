// jose: a resource server that knows the address of the keys, the issuer and its own name.
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { ALGORITHM, run } from './verifier.mjs'

const keys = createRemoteJWKSet(new URL(process.env.JWKS_URL))
const requiredClaims = ['sub', 'exp', 'iat', 'jti', 'client_id']

async function verify (token, issuer, audience) {
  const options = { typ: 'at+jwt', algorithms: [ALGORITHM], issuer, audience, requiredClaims }
  return (await jwtVerify(token, keys, options)).payload
}

function reason (error) {
  if (error instanceof errors.JWKSNoMatchingKey) return 'key'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature'
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) return { aud: 'audience', iss: 'issuer' }[error.claim]
}

await run(verify, reason)
