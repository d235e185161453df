//! Usual token requests take a way past hyper: nobody can tell which way an answer came.

mod pieces;

use crate::support::{Answer, Client, GENEROUS, GRANT, Home, Server, Wire, claims, wait_for};

/// A field that makes a request unusual and nothing else of it.
const UNUSUAL: &str = "Connection: Keep-Alive, x\r\n";

fn request(client: &Client, form: &str, extra: &str) -> String {
    format!(
        "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\n{extra}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        client.basic(),
        form.len()
    )
}

/// What does not change from answer to answer: the status, the fields by name without the date, the body's members.
fn shape(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let token = answer.status == 200;
    let lines = answer.head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let mut fields: Vec<(String, String)> = lines
        .filter(|(name, _)| *name != "date" && !(token && *name == "content-length"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    fields.sort();
    let mut body = answer.json();
    if token {
        body["access_token"] = "a token".into();
    }
    (answer.status, fields, body.to_string())
}

/// Asks, and again while this machine is too busy for the answer to be about the request.
fn exchange(wire: &mut Wire, request: &str) -> Answer {
    wait_for("the request is admitted", || {
        wire.send(request.as_bytes());
        Some(wire.answer()).filter(|answer| answer.status != 503)
    })
}

#[test]
fn an_answer_is_the_same_by_either_way() {
    let home = Home::new();
    let client = home.usual_client();
    let wrong = Client { secret: client.secret.replacen("jtn_", "jtn-", 1), ..client.clone() };
    let server = home.serve(GENEROUS);
    for (client, form) in [
        (&client, GRANT.to_owned()),
        (&client, format!("{GRANT}&scope=read")),
        (&client, format!("{GRANT}&scope=admin")),
        (&client, "grant_type=password".to_owned()),
        (&client, "%zz".to_owned()),
        (&wrong, GRANT.to_owned()),
    ] {
        let (mut usual, mut unusual) = (server.wire(), server.wire());
        let [ours, hypers] = [(&mut usual, ""), (&mut unusual, UNUSUAL)].map(|(wire, extra)| {
            let answer = exchange(wire, &request(client, &form, extra));
            assert!(answer.header("date").is_some_and(|date| date.ends_with(" GMT")));
            answer
        });
        assert_eq!(shape(&ours), shape(&hypers), "{form}");
        if ours.status == 200 {
            let [mut ours, mut hypers] = [ours, hypers].map(|answer| claims(&answer.access_token()));
            assert_ne!(ours["jti"], hypers["jti"]);
            for claims in [&mut ours, &mut hypers] {
                claims["jti"].take();
                claims["iat"].take();
                claims["exp"].take();
            }
            assert_eq!(ours, hypers);
        }
        let again = [&mut usual, &mut unusual].map(|wire| exchange(wire, &request(client, &form, "")).status);
        assert_eq!(again[0], again[1], "both connections go on");
    }
}

#[test]
fn t013_requests_that_come_at_once_are_answered_in_their_order_also_where_they_turn_unusual() {
    let (server, client) = Server::usual();
    let forms = [GRANT.to_owned(), "grant_type=x".to_owned(), GRANT.to_owned()];
    let mut bytes: String = forms.iter().map(|form| request(&client, form, "")).collect();
    bytes += "GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n";
    bytes += &request(&client, GRANT, "");
    let (mut wire, statuses) = wait_for("all of them are admitted", || {
        let mut wire = server.wire();
        wire.send(bytes.as_bytes());
        let statuses: Vec<u16> = (0..5).map(|_| wire.answer().status).collect();
        (!statuses.contains(&503)).then_some((wire, statuses))
    });
    assert_eq!(statuses, [200, 400, 200, 200, 200]);
    assert_eq!(exchange(&mut wire, &request(&client, GRANT, "")).status, 200, "what hyper has, it keeps");
}
