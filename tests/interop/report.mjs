// What a client's script prints: the answer as the library returns it, or the error as the library reports it.
export async function report (ask) {
  let line
  try {
    line = await ask()
  } catch (error) {
    console.error(error)
    line = await describe(error)
  }
  console.log(JSON.stringify(line))
}

// What the library says of an error, in the words of the protocol.
export async function describe (error) {
  // openid-client reports a 401 by its challenge, and leaves the body for whoever wants to know more.
  if (error.code === 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') {
    return { challenge: error.cause[0].scheme, ...await error.response.json() }
  }
  return { error: error.error ?? error.data?.payload?.error ?? String(error) }
}
