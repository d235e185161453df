//! The token endpoint over a real socket: parameters, client authentication, grant, scope, target, the answer.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::support::{
    API, Answer, Client, GENEROUS, GRANT, Home, OTHER_API, Server, Wire, basic, claims, count, segment, wait_for,
};

/// What a refusal must look like, whatever it is (T-022, T-089, T-202, T-203, T-204).
fn check_shape(answer: &Answer, what: &str) {
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("content-type"), Some("application/json"), "{what}");
    assert!(answer.header("set-cookie").is_none() && answer.header("access-control-allow-origin").is_none(), "{what}");
    assert_eq!(answer.status == 401, answer.header("www-authenticate").is_some(), "{what}");
    let body = answer.json();
    let description = body["error_description"].as_str().unwrap_or_default();
    assert!(description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)), "{what}: {description}");
    for marker in ["<script>", "marker", "SELECT", "/src/"] {
        assert!(!answer.text().contains(marker) && !answer.head.contains(marker), "{what} reflects {marker}");
    }
}

fn expect(answer: &Answer, status: u16, error: &str, what: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{what}: {}", answer.text());
    check_shape(answer, what);
}

#[test]
fn t060_t200_t201_t210_t211_t212_t216_a_right_secret_gets_a_token_of_rfc_9068() {
    let (server, client) = Server::usual();
    let answer = server.ask(&client, GRANT);
    let body = answer.json();
    let members: HashSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, HashSet::from(["access_token", "token_type", "expires_in", "scope"]));
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&"Bearer".into(), &3600.into(), &"read write".into())
    );
    for (name, value) in [("content-type", "application/json"), ("cache-control", "no-store"), ("pragma", "no-cache")] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    let token = answer.access_token();
    let header = segment(&token, 0);
    let published = server.get("/.well-known/jwks.json").json()["keys"][0]["kid"].clone();
    assert_eq!(header, serde_json::json!({"alg": "EdDSA", "typ": "at+jwt", "kid": published}));
    let said = claims(&token);
    let members: HashSet<&str> = said.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, HashSet::from(["iss", "sub", "client_id", "aud", "scope", "iat", "exp", "jti"]));
    assert_eq!((&said["iss"], &said["sub"]), (&server.url().into(), &client.id.clone().into()));
    assert_eq!((&said["client_id"], &said["scope"]), (&client.id.clone().into(), &"read write".into()));
    assert_eq!(said["aud"], serde_json::json!([API, OTHER_API]));
    let (issued, expires) = (said["iat"].as_u64().unwrap(), said["exp"].as_u64().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(expires - issued == 3600 && issued <= now && now - issued < 60);
    assert_eq!(URL_SAFE_NO_PAD.decode(said["jti"].as_str().unwrap()).unwrap().len(), 16);
    assert!(token.len() < 2048 && !token.contains(&client.secret));
}

#[test]
fn t213_every_token_has_an_id_of_its_own_also_after_a_restart() {
    let (server, client) = Server::usual();
    let mut seen = HashSet::new();
    let tokens = count("JETON_TEST_TOKENS", 2000);
    let collect = |server: &Server, seen: &mut HashSet<String>| {
        let mut wire = server.wire();
        for _ in 0..tokens {
            wire.post("/oauth2/token", &[("Authorization", &client.basic())], GRANT);
            let id = claims(&wire.answer().access_token())["jti"].as_str().unwrap().to_owned();
            assert!(seen.insert(id), "a repeated jti");
        }
    };
    collect(&server, &mut seen);
    let mut server = server;
    server.signal("-TERM");
    server.wait_for_end();
    let home = std::mem::replace(&mut server.home, Home::new());
    let server = home.serve(GENEROUS);
    collect(&server, &mut seen);
}

/// Bodies of an authenticated client, and what they are answered.
const BODIES: &[(&str, &str, u16, &str)] = &[
    ("T-035 empty", "", 400, "invalid_request"),
    ("T-036 %", "grant_type=client_credentials&x=%", 400, "invalid_request"),
    ("T-036 %a", "grant_type=client_credentials&scope=%a", 400, "invalid_request"),
    ("T-036 %zz", "grant_type=%zz", 400, "invalid_request"),
    ("T-036 %u0041", "grant_type=client_credentials&client_id=%u0041", 400, "invalid_request"),
    ("T-037 not UTF-8", "grant_type=client_credentials&x=%ff", 400, "invalid_request"),
    ("T-037 overlong", "grant_type=client_credentials&scope=%c0%af", 400, "invalid_request"),
    ("T-037 surrogate", "grant_type=client_credentials&x=%ed%a0%80", 400, "invalid_request"),
    ("T-038 NUL", "grant_type=client_credentials%00", 400, "invalid_request"),
    ("T-038 CRLF", "grant_type=client_credentials&x=marker%0d%0a", 400, "invalid_request"),
    ("T-038 control in scope", "grant_type=client_credentials&scope=read%00", 400, "invalid_scope"),
    ("T-040 empty grant", "grant_type=", 400, "invalid_request"),
    ("T-041 grant_type", "grant_type=client_credentials&grant_type=client_credentials", 400, "invalid_request"),
    ("T-041 scope", "grant_type=client_credentials&scope=read&scope=read", 400, "invalid_request"),
    ("T-041 client_id", "grant_type=client_credentials&client_id=a&client_id=a", 400, "invalid_request"),
    ("T-042 one empty", "grant_type=client_credentials&scope=&scope=read", 400, "invalid_request"),
    ("T-043 hidden", "grant_type=client_credentials&grant%5Ftype=client_credentials", 400, "invalid_request"),
    ("T-046 case", "Grant_Type=client_credentials", 400, "invalid_request"),
    ("T-046 leading newline", "\r\ngrant_type=client_credentials", 400, "invalid_request"),
    ("T-046 BOM", "\u{feff}grant_type=client_credentials", 400, "invalid_request"),
    ("T-047 semicolon", "scope=read;grant_type=client_credentials", 400, "invalid_request"),
    ("T-047 brackets", "grant_type[]=client_credentials", 400, "invalid_request"),
    ("T-076 other id", "grant_type=client_credentials&client_id=other", 400, "invalid_request"),
    ("T-077 Basic and secret", "grant_type=client_credentials&client_secret=x", 400, "invalid_request"),
    (
        "T-078 Basic and assertion",
        "grant_type=client_credentials&client_assertion=x&client_assertion_type=y",
        400,
        "invalid_request",
    ),
    ("T-157 authorization_details", "grant_type=client_credentials&authorization_details=[]", 400, "invalid_request"),
    ("T-180 missing", "scope=read", 400, "invalid_request"),
    ("T-181 password", "grant_type=password&username=a&password=b", 400, "unsupported_grant_type"),
    ("T-181 code", "grant_type=authorization_code&code=x", 400, "unsupported_grant_type"),
    ("T-181 refresh", "grant_type=refresh_token&refresh_token=x", 400, "unsupported_grant_type"),
    ("T-181 implicit", "grant_type=implicit", 400, "unsupported_grant_type"),
    ("T-181 exchange", "grant_type=urn:ietf:params:oauth:grant-type:token-exchange", 400, "unsupported_grant_type"),
    ("T-181 device", "grant_type=urn:ietf:params:oauth:grant-type:device_code", 400, "unsupported_grant_type"),
    ("T-181 junk", "grant_type=<script>marker", 400, "unsupported_grant_type"),
    ("T-182 case", "grant_type=CLIENT_CREDENTIALS", 400, "unsupported_grant_type"),
    ("T-182 space", "grant_type=client_credentials+", 400, "unsupported_grant_type"),
    ("T-182 two", "grant_type=client_credentials+password", 400, "unsupported_grant_type"),
    ("T-186 unknown", "grant_type=client_credentials&scope=read+admin", 400, "invalid_scope"),
    ("T-188 case", "grant_type=client_credentials&scope=READ", 400, "invalid_scope"),
    ("T-188 prefix", "grant_type=client_credentials&scope=rea", 400, "invalid_scope"),
    ("T-188 star", "grant_type=client_credentials&scope=*", 400, "invalid_scope"),
    ("T-188 regex", "grant_type=client_credentials&scope=.*", 400, "invalid_scope"),
    ("T-188 colon", "grant_type=client_credentials&scope=read:all", 400, "invalid_scope"),
    ("T-189 two spaces", "grant_type=client_credentials&scope=read++write", 400, "invalid_scope"),
    ("T-189 leading", "grant_type=client_credentials&scope=+read", 400, "invalid_scope"),
    ("T-189 trailing", "grant_type=client_credentials&scope=read+", 400, "invalid_scope"),
    ("T-189 tab", "grant_type=client_credentials&scope=read%09write", 400, "invalid_scope"),
    ("T-189 newline", "grant_type=client_credentials&scope=read%0a", 400, "invalid_scope"),
    ("T-189 quote", "grant_type=client_credentials&scope=%22read%22", 400, "invalid_scope"),
    ("T-189 backslash", "grant_type=client_credentials&scope=read%5c", 400, "invalid_scope"),
    ("T-189 not ASCII", "grant_type=client_credentials&scope=l%C3%A9", 400, "invalid_scope"),
    ("T-155 relative", "grant_type=client_credentials&resource=/api", 400, "invalid_target"),
    ("T-155 fragment", "grant_type=client_credentials&resource=https://api.example.com%23x", 400, "invalid_target"),
    ("T-155 unknown", "grant_type=client_credentials&resource=https://evil.example", 400, "invalid_target"),
    ("T-155 prefix", "grant_type=client_credentials&resource=https://api.example.com/", 400, "invalid_target"),
    ("T-158 audience", "grant_type=client_credentials&audience=https://evil.example", 400, "invalid_target"),
    (
        "T-158 widening",
        "grant_type=client_credentials&resource=https://api.example.com&audience=https://evil.example",
        400,
        "invalid_target",
    ),
];

#[test]
fn malformed_and_unsupported_bodies_are_refused_by_their_code() {
    let (server, client) = Server::usual();
    for (rule, body, status, error) in BODIES {
        expect(&server.ask(&client, body), *status, error, rule);
    }
}

/// Bodies that are fine, and the scope that they get.
const ACCEPTED: &[(&str, &str, &str)] = &[
    ("T-039 plus and escape", "grant_type=client%5Fcredentials&scope=read+write", "read write"),
    ("T-040 empty is absent", "grant_type=client_credentials&scope=&resource=&client_secret=", "read write"),
    ("T-044 unknown and repeated unknown", "grant_type=client_credentials&x=1&x=2", "read write"),
    (
        "T-045 repeated resource",
        "grant_type=client_credentials&resource=https://api.example.com&resource=https://api.example.com",
        "read write",
    ),
    ("T-047 unknown names", "grant_type=client_credentials&scope[]=admin&scope[a]=admin", "read write"),
    ("T-184 none", "grant_type=client_credentials", "read write"),
    ("T-185 subset", "grant_type=client_credentials&scope=write", "write"),
    ("T-187 order and duplicates", "grant_type=client_credentials&scope=write+read+write", "write read"),
];

#[test]
fn accepted_bodies_get_the_scope_that_they_ask_for() {
    let (server, client) = Server::usual();
    for (rule, body, scope) in ACCEPTED {
        let answer = server.ask(&client, body);
        assert_eq!(answer.status, 200, "{rule}: {}", answer.text());
        assert_eq!(answer.json()["scope"], *scope, "{rule}");
        assert_eq!(claims(&answer.access_token())["scope"], *scope, "{rule}");
    }
}

#[test]
fn t156_t158_resource_and_audience_narrow_the_audience_and_never_widen_it() {
    let (server, client) = Server::usual();
    let aud = |form: &str| claims(&server.ask(&client, &format!("{GRANT}&{form}")).access_token())["aud"].clone();
    assert_eq!(aud(&format!("resource={API}")), API);
    assert_eq!(aud(&format!("audience={OTHER_API}")), OTHER_API);
    assert_eq!(aud(&format!("resource={OTHER_API}&resource={API}")), serde_json::json!([OTHER_API, API]));
    assert_eq!(aud(&format!("resource={API}&audience={API}")), API);
    let many = format!("{GRANT}{}", format!("&resource={API}").repeat(17));
    expect(&server.ask(&client, &many), 400, "invalid_target", "T-155 too many");
}

#[test]
fn t031_t032_t033_t034_only_a_form_is_read() {
    let (server, client) = Server::usual();
    for kind in [
        "-",
        "application/json",
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded;charset=latin1",
    ] {
        let answer = server.token(&[("Authorization", &client.basic()), ("Content-Type", kind)], GRANT);
        expect(&answer, 400, "invalid_request", kind);
    }
    let form = "application/x-www-form-urlencoded";
    let twice =
        server.token(&[("Authorization", &client.basic()), ("Content-Type", form), ("Content-Type", form)], GRANT);
    expect(&twice, 400, "invalid_request", "T-034 two types");
    for kind in ["Application/X-WWW-Form-URLencoded", "application/x-www-form-urlencoded;charset=utf-8"] {
        assert_eq!(
            server.token(&[("Authorization", &client.basic()), ("Content-Type", kind)], GRANT).status,
            200,
            "T-030 {kind}"
        );
    }
}

#[test]
fn t048_t088_nothing_is_read_from_the_query_and_nothing_of_it_is_logged() {
    let (server, client) = Server::usual();
    let post = |path: &str, headers: &[(&str, &str)], form: &str| {
        let mut wire = server.wire();
        wire.post(path, headers, form);
        wire.answer()
    };
    let path = format!("/oauth2/token?{GRANT}");
    expect(&post(&path, &[("Authorization", &client.basic())], "x=y"), 400, "invalid_request", "grant in the query");
    let path = format!("/oauth2/token?client_id={}&client_secret={}", client.id, client.secret);
    expect(&post(&path, &[], GRANT), 401, "invalid_client", "credentials in the query");
    assert!(!server.log_text().contains(&client.secret));
}

#[test]
fn t049_t050_t051_t073_t190_hostile_sizes_are_refused_fast() {
    let (server, client) = Server::usual();
    let colliding: String = (0..10_000).map(|n| format!("{n:x}=&")).collect();
    let long_scope = format!("{GRANT}&scope={}", "a".repeat(5000));
    let cases = [
        ("T-049 10,000 parameters", colliding, 400, "invalid_request"),
        ("T-049 ampersands", "&".repeat(65_000), 400, "invalid_request"),
        ("T-050 T-190 long scope", long_scope, 400, "invalid_scope"),
        ("T-190 many tokens", format!("{GRANT}&scope={}", vec!["a"; 2000].join("+")), 400, "invalid_scope"),
        (
            "T-073 long secret",
            format!("{GRANT}&client_id={}&client_secret={}", client.id, "s".repeat(1025)),
            401,
            "invalid_client",
        ),
        ("T-181 long grant", format!("grant_type={}", "g".repeat(1024)), 400, "unsupported_grant_type"),
        ("T-155 long resource", format!("{GRANT}&resource=https://a/{}", "r".repeat(3000)), 400, "invalid_target"),
    ];
    let before = server.cpu_millis();
    for (rule, body, status, error) in &cases {
        let answer = if body.contains("client_secret") { server.token(&[], body) } else { server.ask(&client, body) };
        expect(&answer, *status, error, rule);
    }
    // A debug build, so a generous bound: quadratic behaviour would cost seconds.
    assert!(server.cpu_millis() - before < 1000);
}

/// Headers that never authenticate; none of them is a 200, a 5xx or anything but these two answers.
#[test]
fn t061_to_t066_t072_t079_t080_t086_t087_malformed_and_wrong_credentials_are_refused() {
    let (server, client) = Server::usual();
    let encode = |text: &str| format!("Basic {}", STANDARD.encode(text));
    let Client { id, secret, .. } = &client;
    let wrong = [
        ("T-063 bad percent", encode(&format!("{id}:%zz"))),
        ("T-064 not base64", "Basic !!!".to_owned()),
        ("T-064 url-safe", "Basic YTo_Pz8_".to_owned()),
        ("T-064 padding", "Basic YTpi=".to_owned()),
        ("T-065 no colon", encode(id)),
        ("T-065 empty id", encode(&format!(":{secret}"))),
        ("T-065 nothing", "Basic".to_owned()),
        ("T-066 empty secret", encode(&format!("{id}:"))),
        ("T-067 wrong secret", encode(&format!("{id}:wrong"))),
        ("T-072 truncated", encode(&format!("{id}:{}", &secret[..secret.len() - 1]))),
        ("T-072 extended", encode(&format!("{id}:{secret}a"))),
        ("T-072 case", encode(&format!("{id}:{}", secret.to_uppercase()))),
        ("T-072 space", encode(&format!("{id}:{secret} "))),
        ("T-072 NUL", encode(&format!("{id}:{secret}\0"))),
        ("T-079 Bearer", "Bearer abc".to_owned()),
        ("T-079 Negotiate", "Negotiate abc".to_owned()),
        ("T-079 Digest", "Digest username=a".to_owned()),
        ("T-079 empty", String::new()),
        ("T-080 obs-text", "Basic \u{e9}\u{e9}".to_owned()),
        ("T-080 8 KiB", format!("Basic {}", "A".repeat(8192))),
        ("T-086 case", encode(&format!("{}:{secret}", id.to_uppercase()))),
        ("T-086 trailing space", encode(&format!("{id} :{secret}"))),
        ("T-086 Unicode", encode(&format!("{}:{secret}", id.replacen('c', "с", 1)))),
        ("T-087 long id", encode(&format!("{}:{secret}", "a".repeat(129)))),
        ("T-087 control", encode(&format!("a\u{7f}:{secret}"))),
    ];
    for (rule, header) in &wrong {
        expect(&server.token(&[("Authorization", header)], GRANT), 401, "invalid_client", rule);
    }
    for header in [client.basic().replacen("Basic", "bAsIc", 1), client.basic().replacen("Basic ", "Basic    ", 1)] {
        assert_eq!(server.token(&[("Authorization", &header)], GRANT).status, 200, "T-061 {header}");
    }
    let escape = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let escaped = encode(&format!("{}:{}", escape(id), escape(secret)));
    assert_eq!(server.token(&[("Authorization", &escaped)], GRANT).status, 200, "T-062 fully escaped");
}

#[test]
fn t074_two_authorization_headers_are_refused_in_either_order() {
    let (server, client) = Server::usual();
    let (good, bad) = (client.basic(), basic(&client.id, "wrong"));
    for pair in [[&good, &bad], [&bad, &good], [&good, &good]] {
        let headers = [("Authorization", pair[0].as_str()), ("Authorization", pair[1].as_str())];
        expect(&server.token(&headers, GRANT), 400, "invalid_request", "two headers");
    }
    let joined = format!("{good}, {bad}");
    expect(&server.token(&[("Authorization", &joined)], GRANT), 401, "invalid_client", "joined");
}

#[test]
fn t075_t081_t082_t083_t085_t101_the_body_authenticates_as_basic_does() {
    let (server, client) = Server::usual();
    let Client { id, secret, .. } = &client;
    assert_eq!(server.ask(&client, &format!("{GRANT}&client_id={id}")).status, 200, "T-075");
    assert_eq!(server.token(&[], &format!("{GRANT}&client_id={id}&client_secret={secret}")).status, 200, "T-081");
    let assertion = "client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    for (rule, form, status, error) in [
        ("T-081 wrong secret", format!("{GRANT}&client_id={id}&client_secret=x"), 401, "invalid_client"),
        ("T-066 empty secret", format!("{GRANT}&client_id={id}&client_secret="), 401, "invalid_client"),
        ("T-082 id alone", format!("{GRANT}&client_id={id}"), 401, "invalid_client"),
        ("T-083 nothing", GRANT.to_owned(), 401, "invalid_client"),
        ("T-035 empty body", String::new(), 401, "invalid_client"),
        ("an assertion is no mechanism yet", format!("{GRANT}&{assertion}"), 401, "invalid_client"),
        ("T-101 half an assertion", format!("{GRANT}&client_assertion=x"), 400, "invalid_request"),
        (
            "T-078 secret and assertion",
            format!("{GRANT}&client_id={id}&client_secret={secret}&{assertion}"),
            400,
            "invalid_request",
        ),
        (
            "T-041 repeated secret",
            format!("{GRANT}&client_id={id}&client_secret={secret}&client_secret={secret}"),
            400,
            "invalid_request",
        ),
    ] {
        expect(&server.token(&[], &form), status, error, rule);
    }
}

#[test]
fn t067_t068_t217_unknown_disabled_removed_and_wrong_are_one_answer() {
    let (server, client) = Server::usual();
    let [disabled, removed] = [server.home.usual_client(), server.home.usual_client()];
    assert_eq!(server.ask(&disabled, GRANT).status, 200);
    assert_eq!(server.ask(&removed, GRANT).status, 200);
    server.home.json(&["client", "disable", &disabled.id]);
    server.home.json(&["client", "remove", &removed.id]);
    let changed = Instant::now();
    for client in [&disabled, &removed] {
        wait_for("the change acts", || (server.ask(client, GRANT).status == 401).then_some(()));
    }
    assert!(changed.elapsed() < Duration::from_secs(1), "T-217: acts within a second, took {:?}", changed.elapsed());
    let unknown = Client { id: "c_AAAAAAAAAAAAAAAAAAAAAA".to_owned(), ..client.clone() };
    let wrong = Client { secret: format!("{}x", client.secret), ..client.clone() };
    let mut answers: Vec<String> = [&disabled, &removed, &unknown, &wrong]
        .into_iter()
        .map(|client| {
            let answer = server.ask(client, GRANT);
            let head: Vec<&str> = answer.head.lines().filter(|line| !line.starts_with("date:")).collect();
            format!("{}\n{}", head.join("\n"), answer.text())
        })
        .collect();
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    server.home.json(&["client", "enable", &disabled.id]);
    assert_eq!(server.ask(&disabled, GRANT).status, 200, "an enabled client works at once");
}

#[test]
fn t069_an_unknown_client_and_a_wrong_secret_take_the_same_way() {
    let (server, client) = Server::usual();
    assert_eq!(server.ask(&client, GRANT).status, 200);
    let find = "jeton_store_operation_duration_seconds_count{backend=\"sqlite\",operation=\"find_client\"}";
    let reads = |client: &Client| {
        let before = server.metric(find);
        for _ in 0..10 {
            assert_eq!(server.ask(client, GRANT).status, 401);
        }
        server.metric(find) - before
    };
    let unknown = Client { id: "c_AAAAAAAAAAAAAAAAAAAAAA".to_owned(), ..client.clone() };
    let wrong = Client { secret: "wrong".to_owned(), ..client.clone() };
    assert_eq!((reads(&unknown), reads(&wrong)), (10.0, 10.0), "each refusal is confirmed by one read of the store");
}

#[test]
fn t070_t071_secrets_rotate_without_a_gap_and_expire() {
    let (server, client) = Server::usual();
    let added = server.home.json(&["client", "secret", "add", &client.id]);
    let new = Client { secret: added["client_secret"].as_str().unwrap().to_owned(), ..client.clone() };
    assert_eq!((server.ask(&client, GRANT).status, server.ask(&new, GRANT).status), (200, 200), "T-071 overlap");
    server.home.json(&["client", "secret", "remove", &client.id, &client.secret_id]);
    wait_for("the old secret is refused", || (server.ask(&client, GRANT).status == 401).then_some(()));
    assert_eq!(server.ask(&new, GRANT).status, 200);
    let added = server.home.json(&["client", "secret", "add", &client.id, "--expires", "1s"]);
    let brief = Client { secret: added["client_secret"].as_str().unwrap().to_owned(), ..client };
    wait_for("T-070 the brief secret expires", || (server.ask(&brief, GRANT).status == 401).then_some(()));
}

#[test]
fn t084_t183_a_client_without_the_grant_authenticates_but_gets_nothing() {
    let home = Home::new();
    let client = home.add_client(&["--scope", "read", "--tokens", "false"]);
    let server = home.serve(GENEROUS);
    expect(&server.ask(&client, GRANT), 400, "unauthorized_client", "T-183");
    let none = Client { secret: String::new(), ..client };
    expect(&server.ask(&none, GRANT), 401, "invalid_client", "T-084 no public clients");
}

#[test]
fn t191_a_scope_taken_away_is_refused_within_a_second() {
    let (server, client) = Server::usual();
    let form = format!("{GRANT}&scope=write");
    assert_eq!(server.ask(&client, &form).status, 200);
    server.home.json(&["client", "set", &client.id, "--scope", "read"]);
    let changed = Instant::now();
    let refused =
        wait_for("the scope is gone", || Some(server.ask(&client, &form)).filter(|answer| answer.status == 400));
    assert!(changed.elapsed() < Duration::from_secs(1));
    expect(&refused, 400, "invalid_scope", "T-191");
}

#[test]
fn t205_an_unauthenticated_caller_learns_nothing_of_grants_and_scopes() {
    let (server, client) = Server::usual();
    let wrong = Client { secret: "wrong".to_owned(), ..client };
    for form in [
        "grant_type=password",
        "scope=read",
        "grant_type=client_credentials&scope=admin",
        "grant_type=client_credentials&resource=x",
    ] {
        expect(&server.ask(&wrong, form), 401, "invalid_client", form);
    }
    expect(&server.ask(&wrong, "grant_type=a&grant_type=b"), 400, "invalid_request", "syntax comes first");
}

#[test]
fn t090_a_guesser_is_throttled_and_the_client_goes_on_from_elsewhere() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve("[limits]\nclient_failures = 5\nsource_failures = 50\n");
    let ask = |source: &str, secret: &str| {
        let mut wire = Wire::connect_from(source, &server.address);
        wire.post("/oauth2/token", &[("Authorization", &basic(&client.id, secret))], GRANT);
        wire.answer()
    };
    let throttled = (0..20).map(|_| ask("127.0.0.2", "guess")).find(|answer| answer.status != 401).unwrap();
    expect(&throttled, 429, "slow_down", "throttled");
    assert!(throttled.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(ask("127.0.0.2", &client.secret).status, 429, "the guesser learns nothing from a right guess");
    assert_eq!(ask("127.0.0.3", &client.secret).status, 200, "the client is not locked out");
    wait_for("failures are forgiven", || (ask("127.0.0.2", &client.secret).status == 200).then_some(()));
}

#[test]
fn t220_random_ids_leave_no_trace_in_metrics_and_memory() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(GENEROUS);
    let spray = |from: usize, to: usize| {
        let mut wire = server.wire();
        for n in from..to {
            wire.post("/oauth2/token", &[("Authorization", &basic(&format!("marker{n}"), "x"))], GRANT);
            assert_eq!(wire.answer().status, 401);
        }
    };
    let ids = count("JETON_TEST_RANDOM_IDS", 4000);
    spray(0, ids);
    let series = || server.ops("/metrics").text().lines().filter(|line| !line.starts_with('#')).count();
    let (before, memory) = (series(), server.memory());
    spray(ids, ids * 2);
    assert_eq!(series(), before);
    assert!(server.memory() < memory + 4096, "grew from {memory} to {} KiB", server.memory());
    assert!(!server.ops("/metrics").text().contains("marker") && !server.log_text().contains("marker"));
    assert_eq!(server.ask(&client, GRANT).status, 200);
}

#[test]
fn t217_t222_t223_nothing_secret_and_nothing_forged_is_ever_written() {
    let home = Home::new();
    let client = home.usual_client();
    let server = home.serve(&format!("{GENEROUS}[log]\nlevel = \"trace\"\n"));
    let token = server.ask(&client, GRANT).access_token();
    let presented = "jtn_presented_but_wrong";
    server.token(&[("Authorization", &basic(&client.id, presented))], GRANT);
    server.token(
        &[("Authorization", &basic("in\r\njected\u{1b}[31m", "x"))],
        &format!("{GRANT}&scope=%0d%0aforged%1b%E2%80%A8"),
    );
    let key = std::fs::read_to_string(server.home.folder.path().join("jeton.db.master-key")).unwrap();
    let events = |log: &str, message: &str| log.lines().filter(|line| line.contains(message)).count();
    let log = wait_for("all three requests are logged", || {
        let log = server.log_text();
        (events(&log, "token refused") == 2 && events(&log, "token issued") == 1).then_some(log)
    });
    let issued = log.lines().find(|line| line.contains("token issued")).unwrap();
    let issued: serde_json::Value = serde_json::from_str(issued).unwrap();
    let (header, said) = (segment(&token, 0), claims(&token));
    for (field, value) in
        [("client", &said["sub"]), ("scope", &said["scope"]), ("jti", &said["jti"]), ("kid", &header["kid"])]
    {
        assert_eq!(&issued[field], value, "T-217: {field}");
    }
    let pid = server.process.id();
    let seen = [
        log.clone(),
        server.ops("/metrics").text(),
        read_lossy(&format!("/proc/{pid}/cmdline")),
        read_lossy(&format!("/proc/{pid}/environ")),
    ];
    for text in &seen {
        for secret in [&client.secret, &token, presented, &client.basic(), key.trim()] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(!text.contains("forged") && !text.contains("jected"));
    }
    for line in log.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "no JSON line: {line}");
    }
    let database = read_lossy(&server.home.database.display().to_string());
    assert!(!database.contains(&client.secret), "A secret in clear at rest");
}

fn read_lossy(path: &str) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}

#[test]
fn t229_narrowed_and_whole_tokens_of_one_client_never_mix() {
    let (server, client) = Server::usual();
    let mut wire = server.wire();
    for round in 0..50 {
        let (form, scope, aud) = match round % 3 {
            0 => (GRANT.to_owned(), "read write", serde_json::json!([API, OTHER_API])),
            1 => (format!("{GRANT}&scope=read"), "read", serde_json::json!([API, OTHER_API])),
            _ => (format!("{GRANT}&resource={API}"), "read write", serde_json::json!(API)),
        };
        wire.post("/oauth2/token", &[("Authorization", &client.basic())], &form);
        let said = claims(&wire.answer().access_token());
        assert_eq!((&said["scope"], &said["aud"]), (&scope.into(), &aud));
    }
    server.home.json(&["client", "set", &client.id, "--lifetime", "5m"]);
    wait_for("the new lifetime acts", || (server.ask(&client, GRANT).json()["expires_in"] == 300).then_some(()));
}
