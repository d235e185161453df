// openid-client: finds the server by its metadata, then asks it for a token.
// METHOD is default (the library's choice), basic, post or jwt: then CLIENT_SECRET is a private key, a JWK. ALGORITHM says which well-known document is asked for:
// oidc, the library's default, or oauth2. With ADDRESS the issuer is reached there, as behind a proxy that ends TLS.
import * as client from 'openid-client'
import { report } from './report.mjs'
import { signingKey } from './signing_key.mjs'

const { ISSUER, CLIENT_ID, CLIENT_SECRET, METHOD, ALGORITHM, ADDRESS, SCOPE, RESOURCE } = process.env
const authentication = {
  default: undefined,
  basic: client.ClientSecretBasic(CLIENT_SECRET),
  post: client.ClientSecretPost(CLIENT_SECRET),
  jwt: METHOD === 'jwt' && client.PrivateKeyJwt(await signingKey(CLIENT_SECRET)),
}[METHOD]
const options = ADDRESS
  ? { [client.customFetch]: (url, init) => fetch(url.replace(new URL(ISSUER).origin, ADDRESS), init) }
  : { execute: [client.allowInsecureRequests] }
const parameters = { ...SCOPE && { scope: SCOPE }, ...RESOURCE && { resource: RESOURCE } }

await report(async () => {
  options.algorithm = ALGORITHM || 'oidc'
  const config = await client.discovery(new URL(ISSUER), CLIENT_ID, METHOD === 'jwt' ? {} : CLIENT_SECRET, authentication, options)
  return client.clientCredentialsGrant(config, parameters)
})
