// openid-client: finds the endpoints by the metadata, introspects and revokes. A signed answer is also verified.
// A step's method is default (the library's choice), basic, post or jwt: then its secret is a private key, a JWK.
import * as client from 'openid-client'
import { signingKey } from './signing_key.mjs'
import { run } from './steps.mjs'

async function configure ({ id, secret, method, signed }) {
  const authentication = {
    default: undefined,
    basic: client.ClientSecretBasic(secret),
    post: client.ClientSecretPost(secret),
    jwt: method === 'jwt' && client.PrivateKeyJwt(await signingKey(secret)),
  }[method]
  const metadata = { ...method !== 'jwt' && { client_secret: secret }, ...signed && { introspection_signed_response_alg: 'EdDSA' } }
  const options = { algorithm: 'oauth2', execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks] }
  return client.discovery(new URL(process.env.ISSUER), id, metadata, authentication, options)
}

// The library verifies what is signed, and takes what is not as it is.
async function introspect (step) {
  const kinds = []
  const config = await configure(step)
  config[client.customFetch] = async (url, init) => {
    const response = await fetch(url, init)
    kinds.push(response.headers.get('content-type'))
    return response
  }
  const answer = await client.tokenIntrospection(config, step.token)
  const kind = step.signed ? 'application/token-introspection+jwt' : 'application/json'
  if (kinds[0] !== kind) throw new Error(`the answer is ${kinds[0]}`)
  return answer
}

await run({
  introspect,
  revoke: async step => client.tokenRevocation(await configure(step), step.token, { token_type_hint: 'access_token' }),
})
