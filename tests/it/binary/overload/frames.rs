//! HTTP/2 by hand: frames in any order and number, as no library would send them (RFC 9113).

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::{PATIENCE, Strangers};
use crate::binary::process::Binary;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// SETTINGS_INITIAL_WINDOW_SIZE.
pub const INITIAL_WINDOW: u16 = 4;

/// A connection that begins as the specification says.
pub struct Frames {
    read: ReadHalf<TlsStream<TcpStream>>,
    write: WriteHalf<TlsStream<TcpStream>>,
}

impl Frames {
    /// Connects from `address`, and says what every client says first, with these settings.
    pub async fn begin(strangers: &Strangers, server: &Binary, address: &str, settings: &[(u16, u32)]) -> Self {
        let (read, write) = split(strangers.stranger(server, address).await.expect("a handshake"));
        let mut frames = Self { read, write };
        let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let settings: Vec<_> = settings
            .iter()
            .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()[..]].concat())
            .collect();
        frame(&mut first, SETTINGS, 0, 0, &settings);
        frame(&mut first, SETTINGS, 1, 0, b"");
        frames.write.write_all(&first).await.expect("an open connection");
        frames
    }

    /// Sends these frames as often as asked, or until the server wants no more; how often it did.
    pub async fn pour(&mut self, most: usize, mut piece: impl FnMut(u32, &mut Vec<u8>)) -> usize {
        let mut bytes = Vec::new();
        for number in 0..most {
            bytes.clear();
            piece(u32::try_from(number).expect("a small number"), &mut bytes);
            let written = async {
                self.write.write_all(&bytes).await?;
                self.write.flush().await
            };
            // A server that does not read us must do something else with us before long.
            match timeout(PATIENCE, written).await.expect("it is taken or refused") {
                Ok(()) => {}
                Err(_) => return number,
            }
        }
        most
    }

    /// The same, reading meanwhile whatever comes; how often it was sent, and what came.
    pub async fn pour_and_read(&mut self, most: usize, mut piece: impl FnMut(u32, &mut Vec<u8>)) -> (usize, Heard) {
        let Self { read, write } = self;
        let pouring = async {
            let mut bytes = Vec::new();
            for number in 0..most {
                bytes.clear();
                piece(u32::try_from(number).expect("a small number"), &mut bytes);
                if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
                    return number;
                }
            }
            // The last word: it is answered when everything before it was taken in.
            bytes.clear();
            frame(&mut bytes, PING, 0, 0, LAST);
            let _ = write.write_all(&bytes).await;
            let _ = write.flush().await;
            most
        };
        let (poured, heard) = tokio::join!(pouring, timeout(PATIENCE, hear(read)));
        (poured, heard.expect("an answer to the last ping, or the end"))
    }
}

/// What a ping at the end of everything holds.
const LAST: &[u8] = b"the last";

/// What a server said.
#[derive(Debug, Default)]
pub struct Heard {
    /// How many frames of each type.
    pub frames: [u32; 16],
    /// The error code of its GOAWAY.
    pub gone_away: Option<u32>,
    /// The last ping was answered.
    pub answered: bool,
}

/// Reads until the last ping is answered or the connection ends.
async fn hear(read: &mut ReadHalf<TlsStream<TcpStream>>) -> Heard {
    let (mut heard, mut bytes) = (Heard::default(), Vec::new());
    loop {
        while let Some((kind, payload)) = first_frame(&mut bytes) {
            heard.frames[usize::from(kind.min(15))] += 1;
            match kind {
                GOAWAY => {
                    heard.gone_away =
                        payload.get(4..).and_then(|code| code.first_chunk()).map(|code| u32::from_be_bytes(*code))
                }
                PING if payload == LAST => {
                    heard.answered = true;
                    return heard;
                }
                _ => {}
            }
        }
        if !matches!(read.read_buf(&mut bytes).await, Ok(count) if count > 0) {
            return heard;
        }
    }
}

/// Takes the first frame off, when it is there whole.
fn first_frame(bytes: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let head = bytes.get(..9)?;
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let (kind, payload) = (head[3], bytes.get(9..9 + length)?.to_vec());
    bytes.drain(..9 + length);
    Some((kind, payload))
}

/// Appends a frame.
pub fn frame(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    to.extend_from_slice(&length[1..]);
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream.to_be_bytes());
    to.extend_from_slice(payload);
}

/// The `number`th stream that a client opens.
pub fn stream(number: u32) -> u32 {
    number * 2 + 1
}

/// The headers of a request, each spelled out (RFC 7541, section 6.2.2), without a word in any table.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    let pseudo = [(":method", method), (":scheme", "https"), (":path", path), (":authority", "127.0.0.1")];
    for (name, value) in pseudo.iter().chain(more) {
        block.push(0);
        text(&mut block, name);
        text(&mut block, value);
    }
    block
}

/// A string literal of at most a few KiB (RFC 7541, sections 5.1 and 5.2).
fn text(to: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    if length < 127 {
        to.push(u8::try_from(length).expect("less than 127"));
    } else {
        to.push(127);
        length -= 127;
        while length >= 128 {
            to.push(u8::try_from(length % 128 + 128).expect("a byte"));
            length /= 128;
        }
        to.push(u8::try_from(length).expect("less than 128"));
    }
    to.extend_from_slice(text.as_bytes());
}

/// A header that goes into the dynamic table, as its first entry (RFC 7541, section 6.2.1).
pub fn remembered(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x40];
    text(&mut block, name);
    text(&mut block, value);
    block
}

/// That entry, once more: one byte (RFC 7541, section 6.1; the static table has 61).
pub const AGAIN: u8 = 0x80 | 62;
