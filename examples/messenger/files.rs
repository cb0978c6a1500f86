//! Files: a tab announces one, sends its chunks, each acknowledged with the number of bytes that are there, and ends it. An
//! upload is kept in the session of its socket, and so gone with it.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wirebird::extract::{Data, Session, State};
use wirebird::{Error, Socket};

use crate::chat::deliver;
use crate::people::{Body, File, Message, People};
use crate::{Me, Refused};

const MAX_FILE: usize = 5_000_000;
pub(crate) const MAX_CHUNK: usize = 64 * 1024;
/// For all files, those that are still coming included.
const MAX_FILES: usize = 200_000_000;

/// The bytes that are left for files.
#[derive(Clone)]
pub(crate) struct Space(Arc<Semaphore>);

impl Default for Space {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_FILES)))
    }
}

#[derive(Deserialize)]
pub(crate) struct Offer {
    to: String,
    name: String,
    size: usize,
}

/// A file on its way.
#[derive(Clone)]
struct Upload {
    offer: Arc<Offer>,
    content: Vec<u8>,
    space: Arc<OwnedSemaphorePermit>,
}

/// The acknowledgement says how large chunks may be. A second file takes the place of one that has not ended.
pub(crate) async fn begin(
    socket: Socket,
    State(people): State<People>,
    State(Space(space)): State<Space>,
    Data(offer): Data<Offer>,
) -> Result<usize, Error> {
    if offer.size == 0 || offer.size > MAX_FILE {
        return Err(Refused("a file has 1 to 5,000,000 bytes").into());
    }
    if offer.name.is_empty() || offer.name.len() > 255 || offer.name.contains(['/', '\\']) {
        return Err(Refused("this is no name of a file").into());
    }
    if !people.knows(&offer.to) {
        return Err(Refused("there is nobody of that name").into());
    }
    let bytes = offer.size as u32;
    let space =
        space.try_acquire_many_owned(bytes).map_err(|_| Refused("there is no room for more files"))?;
    let content = Vec::with_capacity(offer.size);
    socket.session().insert(Upload { offer: Arc::new(offer), content, space: Arc::new(space) });
    Ok(MAX_CHUNK)
}

/// Adds a chunk. The upload is taken out of the session meanwhile: an error ends it.
pub(crate) async fn chunk(socket: Socket, Data(chunk): Data<Bytes>) -> Result<usize, Error> {
    let mut upload: Upload = socket.session().remove().ok_or(Refused("no file is on its way"))?;
    if chunk.len() > MAX_CHUNK || upload.content.len() + chunk.len() > upload.offer.size {
        return Err(Refused("the file is larger than announced, or its chunk than allowed").into());
    }
    upload.content.extend_from_slice(&chunk);
    let there = upload.content.len();
    socket.session().insert(upload);
    Ok(there)
}

/// The acknowledgement is the message with the file.
pub(crate) async fn end(
    socket: Socket,
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
) -> Result<Message, Error> {
    let upload: Upload = socket.session().remove().ok_or(Refused("no file is on its way"))?;
    let Offer { to, name, size } = &*upload.offer;
    if upload.content.len() != *size {
        return Err(Refused("a part of the file is missing").into());
    }
    let file = File { name: name.clone(), size: *size, content: upload.content.into(), _space: upload.space };
    let message = people.add(&me, to, Body::File(file))?;
    deliver(&socket, &people, &message)?;
    Ok(message)
}

/// Acknowledged with the content; only the two of the chat get it.
pub(crate) async fn get(
    Session(Me(me)): Session<Me>,
    State(people): State<People>,
    Data((other, id)): Data<(String, u64)>,
) -> Result<Bytes, Refused> {
    people.file(&me, &other, id).map(|file| file.content).ok_or(Refused("this file is gone"))
}
