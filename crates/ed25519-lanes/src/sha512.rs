//! SHA-512 (FIPS 180-4) of four messages side by side.
//!
//! The messages need not be equally long: a lane whose message has ended keeps its digest while the others go on.

use crate::lanes::{Lanes, Mask, Work, each_of_four};
use crate::message::{Block, Blocks};

/// The first 64 bits of the fractional parts of the square roots of the first eight primes (§5.3.5).
const INITIAL: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// The same of the cube roots of the first eighty (§4.2.3), in the five groups of sixteen that [`compress`] takes.
const ROUND: [[u64; 16]; 5] = [
    [
        0x428a_2f98_d728_ae22,
        0x7137_4491_23ef_65cd,
        0xb5c0_fbcf_ec4d_3b2f,
        0xe9b5_dba5_8189_dbbc,
        0x3956_c25b_f348_b538,
        0x59f1_11f1_b605_d019,
        0x923f_82a4_af19_4f9b,
        0xab1c_5ed5_da6d_8118,
        0xd807_aa98_a303_0242,
        0x1283_5b01_4570_6fbe,
        0x2431_85be_4ee4_b28c,
        0x550c_7dc3_d5ff_b4e2,
        0x72be_5d74_f27b_896f,
        0x80de_b1fe_3b16_96b1,
        0x9bdc_06a7_25c7_1235,
        0xc19b_f174_cf69_2694,
    ],
    [
        0xe49b_69c1_9ef1_4ad2,
        0xefbe_4786_384f_25e3,
        0x0fc1_9dc6_8b8c_d5b5,
        0x240c_a1cc_77ac_9c65,
        0x2de9_2c6f_592b_0275,
        0x4a74_84aa_6ea6_e483,
        0x5cb0_a9dc_bd41_fbd4,
        0x76f9_88da_8311_53b5,
        0x983e_5152_ee66_dfab,
        0xa831_c66d_2db4_3210,
        0xb003_27c8_98fb_213f,
        0xbf59_7fc7_beef_0ee4,
        0xc6e0_0bf3_3da8_8fc2,
        0xd5a7_9147_930a_a725,
        0x06ca_6351_e003_826f,
        0x1429_2967_0a0e_6e70,
    ],
    [
        0x27b7_0a85_46d2_2ffc,
        0x2e1b_2138_5c26_c926,
        0x4d2c_6dfc_5ac4_2aed,
        0x5338_0d13_9d95_b3df,
        0x650a_7354_8baf_63de,
        0x766a_0abb_3c77_b2a8,
        0x81c2_c92e_47ed_aee6,
        0x9272_2c85_1482_353b,
        0xa2bf_e8a1_4cf1_0364,
        0xa81a_664b_bc42_3001,
        0xc24b_8b70_d0f8_9791,
        0xc76c_51a3_0654_be30,
        0xd192_e819_d6ef_5218,
        0xd699_0624_5565_a910,
        0xf40e_3585_5771_202a,
        0x106a_a070_32bb_d1b8,
    ],
    [
        0x19a4_c116_b8d2_d0c8,
        0x1e37_6c08_5141_ab53,
        0x2748_774c_df8e_eb99,
        0x34b0_bcb5_e19b_48a8,
        0x391c_0cb3_c5c9_5a63,
        0x4ed8_aa4a_e341_8acb,
        0x5b9c_ca4f_7763_e373,
        0x682e_6ff3_d6b2_b8a3,
        0x748f_82ee_5def_b2fc,
        0x78a5_636f_4317_2f60,
        0x84c8_7814_a1f0_ab72,
        0x8cc7_0208_1a64_39ec,
        0x90be_fffa_2363_1e28,
        0xa450_6ceb_de82_bde9,
        0xbef9_a3f7_b2c6_7915,
        0xc671_78f2_e372_532b,
    ],
    [
        0xca27_3ece_ea26_619c,
        0xd186_b8c7_21c0_c207,
        0xeada_7dd6_cde0_eb1e,
        0xf57d_4f7f_ee6e_d178,
        0x06f0_67aa_7217_6fba,
        0x0a63_7dc5_a2c8_98a6,
        0x113f_9804_bef9_0dae,
        0x1b71_0b35_131c_471b,
        0x28db_77f5_2304_7d84,
        0x32ca_ab7b_40c7_2493,
        0x3c9e_be0a_15c9_bebc,
        0x431d_67c4_9c10_0d4c,
        0x4cc5_d4be_cb3e_42b6,
        0x597f_299c_fc65_7e2a,
        0x5fcb_6fab_3ad6_faec,
        0x6c44_198c_4a47_5817,
    ],
];

/// Hashes four messages: their digests, as the little-endian words that RFC 8032 reads them as.
pub(crate) struct Hash<'a>(pub(crate) [&'a Blocks<'a>; 4]);

impl<V: Lanes> Work<V> for Hash<'_> {
    type Output = [V; 8];

    #[cfg_attr(not(test), inline(always))]
    fn run(self, cpu: V::Cpu) -> [V; 8] {
        let [a, b, c, d] = self.0;
        let mut state = [V::all(cpu, 0); 8];
        for (lanes, word) in state.iter_mut().zip(INITIAL) {
            *lanes = V::all(cpu, word);
        }
        let longest = a.count().max(b.count()).max(c.count()).max(d.count());
        for at in 0..longest {
            let running = |message: &Blocks<'_>, bit: u8| u8::from(at < message.count()) << bit;
            let mask = Mask(running(a, 0) | running(b, 1) | running(c, 2) | running(d, 3));
            compress(cpu, &mut state, (mask, [a.block(at), b.block(at), c.block(at), d.block(at)]));
        }
        for word in &mut state {
            *word = word.swap_bytes();
        }
        state
    }
}

/// Takes one more block into the states of the mask (§6.4.2).
#[cfg_attr(not(test), inline(always))]
fn compress<V: Lanes>(cpu: V::Cpu, state: &mut [V; 8], (mask, blocks): (Mask, [&Block; 4])) {
    let mut schedule = words(cpu, blocks);
    let [first, rest @ ..] = &ROUND;
    let mut next = sixteen_rounds(*state, &schedule, first);
    for constants in rest {
        extend(&mut schedule);
        next = sixteen_rounds(next, &schedule, constants);
    }
    for (old, new) in state.iter_mut().zip(next) {
        *old = old.add_wrapping(new).select(mask, *old);
    }
}

/// The sixteen big-endian words of a block of each message.
#[cfg_attr(not(test), inline(always))]
fn words<V: Lanes>(cpu: V::Cpu, blocks: [&Block; 4]) -> [V; 16] {
    let [a, b, c, d] = each_of_four(blocks, |block| block.as_chunks().0);
    let mut words = [V::all(cpu, 0); 16];
    let quarters = a.iter().zip(b).zip(c).zip(d);
    for (words, (((a, b), c), d)) in words.as_chunks_mut::<4>().0.iter_mut().zip(quarters) {
        let rows = [V::from_bytes(cpu, a), V::from_bytes(cpu, b), V::from_bytes(cpu, c), V::from_bytes(cpu, d)];
        *words = each_of_four(V::transpose(rows), V::swap_bytes);
    }
    words
}

/// Written out, so that moving a word to its next place is a matter of names.
#[cfg_attr(not(test), inline(always))]
fn sixteen_rounds<V: Lanes>(state: [V; 8], schedule: &[V; 16], constants: &[u64; 16]) -> [V; 8] {
    let [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, wa, wb, wc, wd, we, wf] = *schedule;
    let [k0, k1, k2, k3, k4, k5, k6, k7, k8, k9, ka, kb, kc, kd, ke, kf] = *constants;
    let state = round(state, (w0, k0));
    let state = round(state, (w1, k1));
    let state = round(state, (w2, k2));
    let state = round(state, (w3, k3));
    let state = round(state, (w4, k4));
    let state = round(state, (w5, k5));
    let state = round(state, (w6, k6));
    let state = round(state, (w7, k7));
    let state = round(state, (w8, k8));
    let state = round(state, (w9, k9));
    let state = round(state, (wa, ka));
    let state = round(state, (wb, kb));
    let state = round(state, (wc, kc));
    let state = round(state, (wd, kd));
    let state = round(state, (we, ke));
    round(state, (wf, kf))
}

#[cfg_attr(not(test), inline(always))]
fn round<V: Lanes>([a, b, c, d, e, f, g, h]: [V; 8], (word, constant): (V, u64)) -> [V; 8] {
    let word = word.add_wrapping(word.splat(constant));
    let sigma_e = e.rotate_right::<14>().xor3(e.rotate_right::<18>(), e.rotate_right::<41>());
    let sigma_a = a.rotate_right::<28>().xor3(a.rotate_right::<34>(), a.rotate_right::<39>());
    let t1 = h.add_wrapping(word).add_wrapping(e.choose(f, g)).add_wrapping(sigma_e);
    let t2 = sigma_a.add_wrapping(a.majority(b, c));
    [t1.add_wrapping(t2), a, b, c, d.add_wrapping(t1), e, f, g]
}

/// The next sixteen words of the schedule, each in the place of the one sixteen before it.
#[cfg_attr(not(test), inline(always))]
fn extend<V: Lanes>(schedule: &mut [V; 16]) {
    let [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, wa, wb, wc, wd, we, wf] = *schedule;
    let w0 = scheduled([w0, w1, w9, we]);
    let w1 = scheduled([w1, w2, wa, wf]);
    let w2 = scheduled([w2, w3, wb, w0]);
    let w3 = scheduled([w3, w4, wc, w1]);
    let w4 = scheduled([w4, w5, wd, w2]);
    let w5 = scheduled([w5, w6, we, w3]);
    let w6 = scheduled([w6, w7, wf, w4]);
    let w7 = scheduled([w7, w8, w0, w5]);
    let w8 = scheduled([w8, w9, w1, w6]);
    let w9 = scheduled([w9, wa, w2, w7]);
    let wa = scheduled([wa, wb, w3, w8]);
    let wb = scheduled([wb, wc, w4, w9]);
    let wc = scheduled([wc, wd, w5, wa]);
    let wd = scheduled([wd, we, w6, wb]);
    let we = scheduled([we, wf, w7, wc]);
    let wf = scheduled([wf, w0, w8, wd]);
    *schedule = [w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, wa, wb, wc, wd, we, wf];
}

/// From the words 16, 15, 7 and 2 before it.
#[cfg_attr(not(test), inline(always))]
fn scheduled<V: Lanes>([w16, w15, w7, w2]: [V; 4]) -> V {
    let s0 = w15.rotate_right::<1>().xor3(w15.rotate_right::<8>(), w15.shr::<7>());
    let s1 = w2.rotate_right::<19>().xor3(w2.rotate_right::<61>(), w2.shr::<6>());
    w16.add_wrapping(s0).add_wrapping(w7.add_wrapping(s1))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha512};

    use super::*;
    use crate::emulated::Emulated;

    /// The digests of head ‖ message of four lengths.
    fn check<const HEAD: usize>(lengths: [usize; 4]) {
        let head: [u8; HEAD] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let bytes: Vec<u8> = (0..1_000_u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let messages = lengths.map(|length| &bytes[..length]);
        let blocks = messages.map(|message| Blocks::new(&head, message));
        let words = Emulated::run((), Hash(blocks.each_ref())).map(|word| word.to_row().0);
        for (lane, message) in messages.iter().enumerate() {
            let digest: Vec<u8> = words.iter().flat_map(|word| word[lane].to_le_bytes()).collect();
            assert_eq!(
                digest,
                Sha512::new().chain_update(head).chain_update(message).finalize().to_vec(),
                "{lengths:?}"
            );
        }
    }

    #[test]
    fn messages_of_every_length_have_the_digests_of_sha2() {
        // Under Miri a few, on either side of where a block ends.
        for length in (0..520).step_by(if cfg!(miri) { 111 } else { 1 }) {
            check::<32>([length, length + 1, 0, 520 - length]);
            check::<64>([length, 3, length + 300, 519]);
        }
    }
}
