//! What is counted of the queue: what was signed, and who waits now.

use std::task::Poll;

use jeton::keys::KeyError;
use jeton::oauth::Algorithm;

use super::{Polled, Station, is_token, key};

#[test]
fn a_key_that_nobody_waits_for_any_more_makes_no_batch() {
    let (station, keys) = (Station::new(), [key(Algorithm::EdDsa, 1), key(Algorithm::Es256, 2)]);
    let mut stays = Polled::ask(&station, &keys[0], 1);
    let mut leaves = Polled::ask(&station, &keys[1], 2);
    assert!(stays.poll().is_pending() && leaves.poll().is_pending());
    drop(leaves);
    assert!(stays.poll().is_ready());
    assert_eq!((station.batches(), station.signatures()), (1, 1));
}

#[test]
fn a_chunk_without_jobs_of_a_key_makes_no_batch_of_it() {
    let (station, keys) = (Station::new(), [key(Algorithm::EdDsa, 1), key(Algorithm::Es256, 2)]);
    let which = |number: u32| &keys[usize::from(number >= 64)];
    let mut waiting: Vec<Polled> = (0..70).map(|number| Polled::ask(&station, which(number), number)).collect();
    for request in &mut waiting {
        let Poll::Ready(signed) = request.poll() else { panic!("the queue is full") };
        assert!(is_token(signed, which(request.number), request.number));
    }
    assert_eq!((station.batches(), station.signatures()), (2, 70));
}

#[test]
fn what_could_not_be_signed_is_counted_nowhere() {
    // Its signatures are too long for this queue.
    let (station, keys) = (Station::new(), [key(Algorithm::EdDsa, 1), key(Algorithm::Rs256, 2)]);
    let mut waiting = [Polled::ask(&station, &keys[0], 1), Polled::ask(&station, &keys[1], 2)];
    assert!(waiting.iter_mut().all(|request| request.poll().is_pending()));
    let Poll::Ready(signed) = waiting[0].poll() else { panic!("it signs for all") };
    assert!(is_token(signed, &keys[0], 1));
    assert_eq!(waiting[1].poll(), Poll::Ready(Err(KeyError::CannotSign)));
    assert_eq!((station.batches(), station.signatures()), (1, 1));
    assert_eq!(station.counted("jeton_signatures_total{alg=\"EdDSA\"}"), 1);
    assert_eq!(station.counted("jeton_signatures_total{alg=\"RS256\"}"), 0);
}

#[test]
fn the_length_of_the_queue_is_that_of_those_who_still_wait() {
    let (station, key) = (Station::new(), key(Algorithm::EdDsa, 1));
    let length = || station.counted("jeton_sign_queue_length");
    let (mut first, mut second) = (Polled::ask(&station, &key, 1), Polled::ask(&station, &key, 2));
    assert!(first.poll().is_pending() && second.poll().is_pending());
    assert_eq!(length(), 2);
    drop(first);
    assert_eq!(length(), 1);
    drop(second);
    assert_eq!(length(), 0, "with the last of them");
}
