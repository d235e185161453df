// A private key for private_key_jwt, from the text of its JWK: Ed25519, under its own kid.
export async function signingKey (text) {
  const { kid, ...jwk } = JSON.parse(text)
  return { key: await crypto.subtle.importKey('jwk', jwk, { name: 'Ed25519' }, false, ['sign']), kid }
}
