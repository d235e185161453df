// node-oidc-provider with what jeton is measured with: client credentials, secrets by Basic, tokens as JWTs signed
// and written nowhere.
//
// Set up in its favour where there is a choice: clients and keys in memory, no log, no session, no other grant. One
// process, since it has one core. With Ed25519 where it is compared with what is as quick to sign, and with RS256, by which
// it signs unless it is told otherwise.
//
//   node server.mjs PORT CLIENTS EdDSA|RS256      the secret of all clients comes from JETON_SECRET

import { generateKeyPairSync } from 'node:crypto'
import Provider from 'oidc-provider'

const [port, count] = process.argv.slice(2, 4).map(Number)
const alg = process.argv[4]
const kinds = { EdDSA: ['ed25519'], RS256: ['rsa', { modulusLength: 2048 }] }
const resource = 'https://api.example.com'
const scope = 'read write'
const key = generateKeyPairSync(...kinds[alg]).privateKey.export({ format: 'jwk' })

const clients = Array.from({ length: count }, (_, number) => ({
  client_id: `c-${String(number).padStart(10, '0')}`,
  client_secret: process.env.JETON_SECRET,
  token_endpoint_auth_method: 'client_secret_basic',
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  scope,
}))

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  jwks: { keys: [{ ...key, kid: 'key', alg, use: 'sig' }] },
  clientDefaults: { id_token_signed_response_alg: alg },
  enabledJWA: { idTokenSigningAlgValues: [alg] },
  scopes: scope.split(' '),
  routes: { token: '/oauth2/token', jwks: '/.well-known/jwks.json' },
  ttl: { ClientCredentials: 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      getResourceServerInfo: () => ({
        scope,
        audience: resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 3600,
        jwt: { sign: { alg, kid: 'key' } },
      }),
    },
  },
})

const server = provider.listen(port, '127.0.0.1', () => console.log('listening'))
// Connections are kept for as long as the measurement takes.
server.keepAliveTimeout = 600_000
