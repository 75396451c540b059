//! Whole requests from outside against the real engine in memory, by strangers and by people who are signed in: whatever
//! is asked, the answer is never 500.
#![no_main]

use keystead_fuzz::house::visit;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    visit(|house| {
        let Some(request) = house.request(bytes) else { return };
        let reply = house.ask(request);
        assert_ne!(reply.status, 500, "{}", String::from_utf8_lossy(&reply.body));
    });
});
