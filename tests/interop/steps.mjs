// What the Node callers of introspection and revocation share: steps in, what the library says of each out.
// A step names the endpoint, the token and who asks: {endpoint, token, id, secret, method, signed}.
import { text } from 'node:stream/consumers'
import { describe } from './report.mjs'

export async function run (endpoints) {
  const said = []
  for (const step of JSON.parse(await text(process.stdin))) {
    try {
      said.push(await endpoints[step.endpoint](step) ?? {})
    } catch (error) {
      console.error(error)
      said.push(await describe(error))
    }
  }
  console.log(JSON.stringify(said))
}
