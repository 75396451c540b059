//! The driver's end of an HTTP/2 wire: several streams at a time on one keep-alive connection.
//!
//! Requests are the ready bytes of HTTP/1.1, read anew each time. That is the driver's time, as much beside our server as
//! beside the bare one.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::Outcome;
use crate::wire::{Protocol, Reply, Target, in_time};

/// One request at a time on a connection that others use as well.
pub(crate) struct Stream {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    body: Vec<u8>,
}

impl Stream {
    /// Connects from `source`, for `count` users of the one connection.
    pub(crate) async fn open(target: &Target, source: Ipv4Addr, count: usize) -> Outcome<Vec<Self>> {
        let stream = in_time(target.connect(source, Protocol::Http2)).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // It ends with the last of its users, or shows in what they get.
        tokio::spawn(connection);
        let one = |sender| Self { sender, authority: target.host(), body: Vec::new() };
        Ok((0..count).map(|_| one(sender.clone())).collect())
    }

    /// Sends `request` and reads the whole answer, whose head is not kept.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Outcome<Reply<'_>> {
        let request = parsed(request, &self.authority)?;
        self.sender.ready().await?;
        let mut response = self.sender.send_request(request).await?;
        self.body.clear();
        while let Some(frame) = response.body_mut().frame().await {
            if let Some(data) = frame?.data_ref() {
                self.body.extend_from_slice(data);
            }
        }
        Ok(Reply { status: response.status().as_u16(), head: &[], body: &self.body })
    }
}

/// A request of HTTP/1.1 as one of HTTP/2: the host is part of its URL (RFC 9113, section 8.3.1).
fn parsed(bytes: &[u8], authority: &str) -> Outcome<Request<Full<Bytes>>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or("a request without an end")?;
    let mut lines = std::str::from_utf8(&bytes[..end])?.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = first.next().zip(first.next()).ok_or("a request without a path")?;
    let mut request =
        Request::builder().method(method).uri(format!("https://{authority}{path}")).version(Version::HTTP_2);
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name != "host" {
            request = request.header(name, value);
        }
    }
    Ok(request.body(Full::new(Bytes::copy_from_slice(&bytes[end + 4..])))?)
}
