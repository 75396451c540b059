//! Requests of the operator on the control socket, imports and restores among them, against the real engine in memory:
//! whatever is asked, the answer is never 500, and JSON where it is not a stream.
#![no_main]

use keystead_fuzz::house::visit;
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    visit(|house| {
        let Some(request) = house.request(bytes) else { return };
        let reply = house.command(request);
        assert_ne!(reply.status, 500, "{}", String::from_utf8_lossy(&reply.body));
        let is_json = reply.headers.get("content-type").is_some_and(|kind| kind == "application/json");
        assert!(!is_json || serde_json::from_slice::<Value>(&reply.body).is_ok());
    });
});
