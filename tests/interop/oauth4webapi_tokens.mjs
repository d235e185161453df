// oauth4webapi: introspects and revokes by the letter of RFC 7662, RFC 9701 and RFC 7009. A signed answer is also
// verified. A step's method is basic, which stands for default too, post or jwt: then its secret
// is a private key, a JWK.
import * as oauth from 'oauth4webapi'
import { signingKey } from './signing_key.mjs'
import { run } from './steps.mjs'

const issuer = new URL(process.env.ISSUER)
const options = { [oauth.allowInsecureRequests]: true }
const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
const server = await oauth.processDiscoveryResponse(issuer, found)

async function caller ({ id, secret, method, signed }) {
  const client = { client_id: id, ...signed && { introspection_signed_response_alg: 'EdDSA' } }
  if (method === 'jwt') return [client, oauth.PrivateKeyJwt(await signingKey(secret))]
  return [client, method === 'post' ? oauth.ClientSecretPost(secret) : oauth.ClientSecretBasic(secret)]
}

async function introspect (step) {
  const [client, authentication] = await caller(step)
  const response = await oauth.introspectionRequest(server, client, authentication, step.token, options)
  const answer = await oauth.processIntrospectionResponse(server, client, response)
  if (step.signed) await oauth.validateApplicationLevelSignature(server, response, options)
  return answer
}

async function revoke (step) {
  const [client, authentication] = await caller(step)
  const response = await oauth.revocationRequest(server, client, authentication, step.token, options)
  return oauth.processRevocationResponse(response)
}

await run({ introspect, revoke })
