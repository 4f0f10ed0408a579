//! `conjoin predict --listen`: the same lines over TCP, a line out for a line in.
//!
//! Every connection is a stream with a state of its own. Several may be open; their lines are answered one
//! after the other, because a pass through the graph uses all threads anyway.

use super::answer::{Answerer, Stream, TOGETHER};
use crate::error::CliError;
use crate::lines::{Line, Lines};
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Connections that are open at the same time; more wait until one of these is closed.
const CONNECTIONS: usize = 16;

/// How long to wait after a connection could not be accepted, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers until the process is ended.
pub(super) fn run(answerer: Answerer, address: &str) -> Result<(), CliError> {
    let refused = |error: std::io::Error| CliError::input(format!("--listen {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    let answerer = Mutex::new(answerer);
    eprintln!("listening on {bound}");
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| accept(&listener, &answerer));
        }
    });
    Ok(())
}

/// Serves one connection after the other.
fn accept(listener: &TcpListener, answerer: &Mutex<Answerer>) {
    loop {
        match listener.accept() {
            Ok((connection, peer)) => {
                if let Err(error) = serve(&connection, &peer.to_string(), answerer) {
                    error.print();
                }
            }
            Err(error) => {
                eprintln!("error: a connection was not accepted: {error}");
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Answers the lines of a connection until its end.
fn serve(
    mut connection: &TcpStream,
    place: &str,
    answerer: &Mutex<Answerer>,
) -> Result<(), CliError> {
    let broken = |error: std::io::Error| CliError::failed(format!("{place}: {error}"));
    // An answer is waited for: it must not wait itself for more to send.
    connection.set_nodelay(true).map_err(broken)?;
    let (mut stream, longest) = {
        let answerer = answerer.lock().unwrap_or_else(PoisonError::into_inner);
        (answerer.stream(place), answerer.longest())
    };
    let mut lines = Lines::new(BufReader::new(connection), longest);
    while let Some(waiting) = lines.waiting(TOGETHER).map_err(broken)? {
        let answers = answer(answerer, &mut stream, &waiting)?;
        connection.write_all(answers.as_bytes()).map_err(broken)?;
    }
    Ok(())
}

/// The answers to some lines. They are sent later, so that nobody waits for a peer that does not read.
fn answer(
    answerer: &Mutex<Answerer>,
    stream: &mut Stream,
    lines: &[Line],
) -> Result<String, CliError> {
    // What answers has no state that a panic could leave half changed.
    let answerer = answerer.lock().unwrap_or_else(PoisonError::into_inner);
    let mut answers = String::new();
    answerer.answer(stream, lines, &mut |line| {
        answers.push_str(line);
        answers.push('\n');
        Ok(())
    })?;
    Ok(answers)
}
