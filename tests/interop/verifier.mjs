// What the Node verifiers share: cases {token, issuer, audience} in, {claims} or {refused: why} for each out.
// An error that `reasons` does not know ends the script: a token refused for a surprising reason is a finding.
import { text } from 'node:stream/consumers'

// The one algorithm that it expects: a verifier that takes what the token says is none.
export const { ALGORITHM } = process.env

export async function run (verify, reasons) {
  const verdicts = []
  for (const { token, issuer, audience } of JSON.parse(await text(process.stdin))) {
    try {
      verdicts.push({ claims: await verify(token, issuer, audience) })
    } catch (error) {
      const refused = reasons(error)
      if (refused === undefined) throw error
      verdicts.push({ refused })
    }
  }
  console.log(JSON.stringify(verdicts))
}
