//! What is promised of opaque tokens.

use super::*;

pub fn token(byte: u8, end: u64) -> TokenRecord {
    TokenRecord {
        digest: MasterKey::from_random([1; 32]).token_hasher().hash(&byte.to_string()),
        id: TokenId([byte; 16]),
        client: id("c_a"),
        scope: Scope::parse("read write").unwrap(),
        audience: ["https://api.example.com", "urn:b"].map(|text| Audience::parse(text).unwrap()).to_vec(),
        issued_at: UnixTime::from_seconds(end - 1),
        expires_at: UnixTime::from_seconds(end),
    }
}

pub async fn an_opaque_token_is_found_by_its_digest_as_it_was_written(f: &Fixture) {
    let (store, end) = (&f.store, end_of_feed(&*f.store).await);
    let bare = TokenRecord { scope: Scope::default(), audience: Vec::new(), ..token(2, 200) };
    for token in [token(1, u64::from(u32::MAX) + 1), bare.clone()] {
        store.put_token(token).await.unwrap();
    }
    let other = f.again();
    assert_eq!(other.find_token(token(1, 1).digest).await.unwrap(), Some(token(1, u64::from(u32::MAX) + 1)));
    assert_eq!(other.find_token(bare.digest).await.unwrap(), Some(bare));
    assert_eq!(other.find_token(token(3, 1).digest).await.unwrap(), None);
    assert_eq!(end_of_feed(&*other).await, end, "a token is no change");
}

pub async fn expired_tokens_go_a_few_at_a_time(f: &Fixture) {
    let store = &f.store;
    for byte in 1..=5 {
        store.put_token(token(byte, 100 + u64::from(byte))).await.unwrap();
    }
    let limit = UnixTime::from_seconds(104);
    assert_eq!(store.purge_tokens(limit, 2).await.unwrap(), 2);
    assert_eq!(store.purge_tokens(limit, 2).await.unwrap(), 1);
    assert_eq!(store.purge_tokens(limit, 2).await.unwrap(), 0);
    for (byte, is_there) in [(1, false), (2, false), (3, false), (4, true), (5, true)] {
        assert_eq!(store.find_token(token(byte, 1).digest).await.unwrap().is_some(), is_there, "{byte}");
    }
}

pub async fn an_opaque_token_is_kept_once(f: &Fixture) {
    for end in [200, 200, 300] {
        f.store.put_token(token(1, end)).await.unwrap();
    }
    assert_eq!(f.again().find_token(token(1, 1).digest).await.unwrap(), Some(token(1, 200)));
    assert_eq!(f.store.list_tokens(None, 10).await.unwrap(), [token(1, 200)]);
}

pub async fn a_list_has_every_token_once_in_the_order_of_their_ends(f: &Fixture) {
    let far = u64::from(u32::MAX) + 7;
    // Several end in the same second: there their digests decide.
    let mut all: Vec<TokenRecord> =
        (1..=9).map(|byte| token(byte, [far, 100, 300, 100][usize::from(byte) % 4])).collect();
    for token in &all {
        f.store.put_token(token.clone()).await.unwrap();
    }
    all.sort_by_key(TokenRecord::position);
    let other = f.again();
    for limit in [1, 2, 4, 100] {
        let (mut found, mut after): (Vec<TokenRecord>, Option<TokenPosition>) = (Vec::new(), None);
        loop {
            let page = other.list_tokens(after, limit).await.unwrap();
            after = page.last().map(TokenRecord::position);
            let is_last = page.len() < limit;
            found.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
    assert!(f.store.list_tokens(None, 0).await.unwrap().is_empty());
    let from_101 = TokenPosition { expires_at: UnixTime::from_seconds(101), digest: all[0].digest };
    let later: Vec<_> = all.iter().filter(|token| token.position() > from_101).cloned().collect();
    assert_eq!(f.store.list_tokens(Some(from_101), 10).await.unwrap(), later, "after a place where there is none");
    f.store.purge_tokens(UnixTime::from_seconds(101), 10).await.unwrap();
    assert_eq!(f.store.list_tokens(Some(all[0].position()), 10).await.unwrap(), later, "after one that was purged");
}
