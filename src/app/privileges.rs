//! Gives up root once the ports are bound.
//!
//! The kernel keeps credentials for each thread, so this is done while there is only one.

use std::io;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Becomes the user and group, for good. Without a user nothing changes but that no privilege can
/// be gained any more.
pub fn drop_to(user: Option<&str>, group: Option<&str>) -> io::Result<()> {
    if let Some(user) = user {
        let (uid, own_gid) = find_user(user)?;
        let gid = match group {
            Some(group) => find_group(group)?,
            None => own_gid,
        };
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[gid])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        if !uid.is_root() && set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() {
            return Err(io::Error::other("root could be had again after it was given up"));
        }
    }
    set_no_new_privs(true)?;
    Ok(())
}

fn find_user(name: &str) -> io::Result<(u32, u32)> {
    let line = find_line("/etc/passwd", name)?;
    let mut fields = line.split(':').skip(2);
    match (number(fields.next()), number(fields.next())) {
        (Some(uid), Some(gid)) => Ok((uid, gid)),
        _ => Err(io::Error::other(format!("the line of {name} in /etc/passwd can't be read"))),
    }
}

fn find_group(name: &str) -> io::Result<u32> {
    let line = find_line("/etc/group", name)?;
    number(line.split(':').nth(2))
        .ok_or_else(|| io::Error::other(format!("the line of {name} in /etc/group can't be read")))
}

fn number(text: Option<&str>) -> Option<u32> {
    text.and_then(|text| text.parse().ok())
}

fn find_line(file: &str, name: &str) -> io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    text.lines()
        .find(|line| line.split(':').next() == Some(name))
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("there is no {name} in {file}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_and_nobody_else_is_made_up() {
        assert_eq!(find_user("root").unwrap(), (0, 0));
        assert_eq!(find_group("root").unwrap(), 0);
        assert!(find_user("no such user").is_err());
    }
}
