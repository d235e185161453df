//! What stands in the body, and what it is answered.

use super::expect;
use crate::support::{API, GRANT, OTHER_API, Server, claims};

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
