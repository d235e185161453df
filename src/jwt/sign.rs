//! Signs an access token where it stands (RFC 7515 §5.1).
//!
//! A token is written with room for its signature, and signed afterwards. `sign` is the one seam: the buffer is handed
//! over and comes back signed, since a signature is made together with others (`queue`) or elsewhere (`turn`).

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{ClaimPrefix, Instants, Stamp};
use super::queue::{SignQueue, Ticket};
use super::turn::Turn;
use crate::keys::{KeyError, SigningKey};
use crate::metrics::Shard;

/// Where in a buffer the parts of a token stand.
#[derive(Clone, Debug)]
pub struct Place {
    signed: Range<usize>,
    signature: Range<usize>,
}

/// A buffer with a token in it that lacks its signature. It never prints: once signed, it is a token.
pub struct Unsigned {
    buffer: Vec<u8>,
    place: Place,
}

impl fmt::Debug for Unsigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unsigned(***)")
    }
}

/// Appends `header.payload.` and room for the signature.
pub fn push_unsigned(
    claims: &ClaimPrefix<'_>,
    (stamp, instants): (&Stamp, &Instants),
    key: &SigningKey,
    out: &mut Vec<u8>,
) -> Place {
    let start = out.len();
    out.extend_from_slice(key.encoded_header());
    out.push(b'.');
    claims.push_payload(stamp, instants, out);
    let end = out.len();
    out.push(b'.');
    out.resize(end + 1 + signature_chars(key), b'A');
    Place { signed: start..end, signature: end + 1..out.len() }
}

/// What a worker signs with: its queue, and where it counts.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// Where quick signatures wait for each other.
    pub queue: &'a SignQueue,
    /// Where they are counted.
    pub shard: &'a Shard,
}

/// Signs a token with the key whose header it carries: here, together with others, or in `turn`.
#[must_use]
pub fn sign<'a>(unsigned: Unsigned, key: &Arc<SigningKey>, turn: Option<Turn>, desk: Desk<'a>) -> Signing<'a> {
    match turn {
        None => Signing::Here(desk.queue.ask(unsigned, key, desk.shard)),
        Some(turn) => {
            let (algorithm, signing) = (key.algorithm(), turn.sign(Arc::clone(key), unsigned));
            Signing::Apart(Box::pin(async move {
                let signed = signing.await?;
                desk.shard.count_signatures(algorithm, 1);
                Ok(signed)
            }))
        }
    }
}

/// A signature that will be made. A type of its own, since a request keeps room for it: an async function would keep
/// its arguments as well.
pub enum Signing<'a> {
    /// On this thread.
    Here(Ticket<'a>),
    /// It is made elsewhere. Boxed, since few take this way.
    Apart(Pin<Box<dyn Future<Output = Result<Vec<u8>, KeyError>> + 'a>>),
}

impl Future for Signing<'_> {
    /// The buffer with the signature in its place; an error when none could be made, and the token is none then.
    type Output = Result<Vec<u8>, KeyError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Here(ticket) => Pin::new(ticket).poll(context),
            Self::Apart(signing) => signing.as_mut().poll(context),
        }
    }
}

impl Place {
    /// The token that stands at this place of `buffer`.
    #[must_use]
    pub const fn of(self, buffer: Vec<u8>) -> Unsigned {
        Unsigned { buffer, place: self }
    }
}

impl Unsigned {
    /// What is signed.
    pub(super) fn message(&self) -> &[u8] {
        self.buffer.get(self.place.signed.clone()).unwrap_or_default()
    }

    /// Writes the signature. The room is as long as every signature of the key, so this fills the whole of it.
    pub(super) fn fill(&mut self, signature: &[u8]) -> Result<(), KeyError> {
        let room = self.buffer.get_mut(self.place.signature.clone()).ok_or(KeyError::CannotSign)?;
        let length = room.len();
        let written = URL_SAFE_NO_PAD.encode_slice(signature, room).map_err(|_| KeyError::CannotSign)?;
        if written == length { Ok(()) } else { Err(KeyError::CannotSign) }
    }

    /// The whole buffer.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// No token, but signed like one.
    #[cfg(test)]
    pub(super) fn example(key: &SigningKey) -> Self {
        let mut buffer = b"message.".to_vec();
        buffer.resize(buffer.len() + signature_chars(key), b'A');
        Place { signed: 0..7, signature: 8..buffer.len() }.of(buffer)
    }
}

/// The length of a signature in base64url.
fn signature_chars(key: &SigningKey) -> usize {
    (key.signature_bytes() * 4).div_ceil(3)
}

/// Bytes of a token with these claims, at the most.
#[must_use]
pub fn max_token_bytes(claims: &ClaimPrefix<'_>, key: &SigningKey) -> usize {
    key.encoded_header().len() + claims.max_payload_bytes() + signature_chars(key) + 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::UnixTime;
    use crate::jwt::{Expected, PublicKey, TokenId, VerifyError, verify};
    use crate::keys::{KeySet, MasterKey};
    use crate::oauth::{Algorithm, Audience, ClientId, IssuerUrl, Scope};

    const NOW: UnixTime = UnixTime::from_seconds(1_000);

    /// What goes into a token.
    #[derive(Debug)]
    struct Said {
        client: String,
        scope: String,
        audiences: Vec<String>,
        times: (u64, u64),
        id: [u8; 16],
    }

    /// A signed token and the keys that verify it.
    fn signed() -> (String, Vec<PublicKey>) {
        let (client, scope, audiences) = ("c_1".to_owned(), "read".to_owned(), vec!["https://api.example".to_owned()]);
        encode(&Said { client, scope, audiences, times: (1_000, 2_000), id: [5; 16] })
    }

    fn encode(said: &Said) -> (String, Vec<PublicKey>) {
        let master = MasterKey::from_random([1; 32]);
        let record = SigningKey::seal(&[7; 32], &master, [0; 12], (NOW, NOW)).unwrap();
        let set = KeySet::open(&[record], &master, NOW).unwrap();
        let audiences: Vec<Audience> = said.audiences.iter().map(|text| Audience::parse(text).unwrap()).collect();
        let claims = ClaimPrefix::encode(
            &IssuerUrl::parse("https://issuer.example").unwrap(),
            &ClientId::parse(&said.client).unwrap(),
            audiences.iter(),
            &Scope::parse(&said.scope).unwrap(),
        );
        let [issued_at, expires_at] = [said.times.0, said.times.1].map(UnixTime::from_seconds);
        let stamp = Stamp { issued_at, expires_at, id: TokenId(said.id) };
        let key = set.active(Algorithm::EdDsa, NOW).unwrap();
        let mut out = b"before".to_vec();
        let place = push_unsigned(&claims, (&stamp, &Instants::default()), key, &mut out);
        let (queue, shard) = (SignQueue::default(), Shard::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let desk = Desk { queue: &queue, shard: &shard };
        let mut out = runtime.block_on(sign(place.of(out), key, None, desk)).unwrap();
        assert!(out.len() <= 6 + max_token_bytes(&claims, key));
        (String::from_utf8(out.split_off(6)).unwrap(), PublicKey::from_jwks(set.document()).unwrap())
    }

    fn check(token: &str, keys: &[PublicKey], audience: &str, now: u64) -> Result<String, VerifyError> {
        let (issuer, now, leeway) = ("https://issuer.example", UnixTime::from_seconds(now), Duration::ZERO);
        verify(token, keys, &Expected { issuer, audience: Some(audience), now, leeway }).map(|claims| claims.client_id)
    }

    #[test]
    fn t214_what_is_signed_verifies_by_the_published_keys() {
        let (token, keys) = signed();
        assert_eq!(check(&token, &keys, "https://api.example", 1_999), Ok("c_1".to_owned()));
        assert_eq!(check(&token, &keys, "https://api.example", 2_000), Err(VerifyError::Expired));
        assert_eq!(check(&token, &keys, "https://api.example", 999), Err(VerifyError::NotYetValid));
        assert_eq!(check(&token, &keys, "https://api.example/", 1_000), Err(VerifyError::WrongAudience));
        assert_eq!(check(&token, &[], "https://api.example", 1_000), Err(VerifyError::UnknownKey));
    }

    #[test]
    fn a_token_with_any_character_changed_is_refused() {
        let (token, keys) = signed();
        for at in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(check(&changed, &keys, "https://api.example", 1_000).is_err(), "character {at}");
        }
        for changed in [format!("{token}="), format!("{token}A"), token[1..].to_owned(), format!("{token}.{token}")] {
            assert!(check(&changed, &keys, "https://api.example", 1_000).is_err());
        }
    }

    fn said() -> impl Strategy<Value = Said> {
        let audiences = proptest::collection::vec("https://[a-z]{1,20}(/[a-z]{1,9})?", 1..4);
        let scope = proptest::collection::hash_set("[!#-\\[\\]-~]{1,12}", 0..5)
            .prop_map(|tokens| tokens.into_iter().collect::<Vec<_>>().join(" "));
        let times = (0_u64..1 << 40, 1_u64..1 << 30).prop_map(|(issued, lifetime)| (issued, issued + lifetime));
        ("[A-Za-z0-9_.~-]{1,40}", scope, audiences, times, any::<[u8; 16]>())
            .prop_map(|(client, scope, audiences, times, id)| Said { client, scope, audiences, times, id })
    }

    proptest! {
        #[test]
        fn verify_never_panics(token in "[A-Za-z0-9_=.{}\"-]{0,200}") {
            let (_, keys) = signed();
            let _ = check(&token, &keys, "https://api.example", 1_000);
        }

        #[test]
        fn verify_never_panics_on_any_header_and_payload(header in json(), payload in json(), signature in ".{0,90}") {
            let (_, keys) = signed();
            let header = header.replace("\"kid\"", &format!("\"kid\":\"{}\",\"x\"", keys[0].kid));
            let segment = |text: &str| URL_SAFE_NO_PAD.encode(text);
            let token = format!("{}.{}.{}", segment(&header), segment(&payload), segment(&signature));
            prop_assert!(check(&token, &keys, "https://api.example", 1_000).is_err());
        }

        #[test]
        fn parse_of_encode_is_the_same(said in said()) {
            let (token, keys) = encode(&said);
            let now = UnixTime::from_seconds(said.times.0);
            let expected = Expected { issuer: "https://issuer.example", audience: None, now, leeway: Duration::ZERO };
            let read = verify(&token, &keys, &expected).unwrap();
            prop_assert_eq!((&read.client_id, &read.sub, &read.scope), (&said.client, &said.client, &said.scope));
            prop_assert!(said.audiences.iter().all(|audience| read.aud.contains(audience)));
            prop_assert_eq!((read.iat.seconds(), read.exp.seconds()), said.times);
            prop_assert_eq!(read.jti, URL_SAFE_NO_PAD.encode(said.id));
        }

        #[test]
        fn a_damaged_token_is_refused(at in 0_usize..400, bytes in "[A-Za-z0-9_.=-]{0,4}", cut in 0_usize..4) {
            let (token, keys) = signed();
            let at = at.min(token.len());
            let damaged = format!("{}{bytes}{}", &token[..at], &token[(at + cut).min(token.len())..]);
            let read = check(&damaged, &keys, "https://api.example", 1_000);
            prop_assert_eq!(read.is_ok(), damaged == token, "{}", damaged);
        }
    }

    /// JSON objects with the members that a verifier looks at, of the right and the wrong types.
    fn json() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            "\"[a-zA-Z+:/.]{0,20}\"",
            "-?[0-9]{1,25}",
            "null|true|\\[\\]|\\{\\}",
            "\\[\"a\",1\\]",
            "[0-9]e[0-9]{3}"
        ];
        let name = prop_oneof!["alg|typ|kid|crit|iss|sub|aud|exp|iat|jti|scope|client_id", "[a-z]{1,5}"];
        proptest::collection::vec((name, value), 0..10).prop_map(|members| {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        })
    }
}
