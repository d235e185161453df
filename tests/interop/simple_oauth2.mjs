// simple-oauth2: METHOD is basic or post.
import { ClientCredentials } from 'simple-oauth2'
import { report } from './report.mjs'

const { TOKEN_URL, CLIENT_ID, CLIENT_SECRET, METHOD, SCOPE, RESOURCE } = process.env
const { origin, pathname } = new URL(TOKEN_URL)
const client = new ClientCredentials({
  client: { id: CLIENT_ID, secret: CLIENT_SECRET },
  auth: { tokenHost: origin, tokenPath: pathname },
  options: { authorizationMethod: METHOD === 'basic' ? 'header' : 'body' },
})
const parameters = { ...SCOPE && { scope: SCOPE }, ...RESOURCE && { resource: RESOURCE } }

await report(async () => (await client.getToken(parameters)).token)
