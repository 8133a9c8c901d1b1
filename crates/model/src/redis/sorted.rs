//! Commands on sorted sets.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use e2e::resp::Reply;

use super::parse::{at, integer as number, is, score, syntax};
use super::{Bytes, Db, Result, bulk, integer};

/// A score. Never `NaN`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score(pub(crate) f64);

impl PartialEq for Score {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Score {}

impl PartialOrd for Score {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Score {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Score {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl Score {
    fn text(self) -> Reply {
        bulk(self.0.to_string())
    }
}

/// Members and their scores.
pub(crate) type SortedSet = BTreeMap<Bytes, Score>;

fn ordered(set: Option<&SortedSet>) -> Vec<(&Bytes, Score)> {
    let mut all: Vec<_> = set.into_iter().flatten().map(|(member, score)| (member, *score)).collect();
    all.sort_by_key(|(member, score)| (*score, *member));
    all
}

fn rows(rows: &[(&Bytes, Score)], with_scores: bool) -> Reply {
    let row = |(member, score): &(&Bytes, Score)| {
        let member = bulk((*member).clone());
        if with_scores { vec![member, score.text()] } else { vec![member] }
    };
    Reply::Array(rows.iter().flat_map(row).collect())
}

pub(super) fn zadd(db: &mut Db, arguments: &[Bytes]) -> Result {
    let (mut is_new_only, mut is_old_only, mut is_less_only, mut index) = (false, false, false, 1);
    loop {
        let word = at(arguments, index)?;
        if is(word, "NX") {
            is_new_only = true;
        } else if is(word, "XX") {
            is_old_only = true;
        } else if is(word, "LT") {
            is_less_only = true;
        } else {
            break;
        }
        index += 1;
    }
    let pairs = &arguments[index..];
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(syntax());
    }
    let scores: Vec<Score> = pairs
        .chunks_exact(2)
        .map(|pair| score(&pair[0]).map(|score| Score(score + 0.0)))
        .collect::<Result<_>>()?;
    if is_old_only && !db.keys.contains_key(&arguments[0]) {
        return Ok(integer(0));
    }
    let added = db.change_or_create(&arguments[0], |set: &mut SortedSet| {
        let mut added = 0;
        for (pair, score) in pairs.chunks_exact(2).zip(scores) {
            match set.get(&pair[1]) {
                None if is_old_only => {}
                None => {
                    set.insert(pair[1].clone(), score);
                    added += 1;
                }
                Some(old) if is_new_only || is_less_only && score >= *old => {}
                Some(_) => drop(set.insert(pair[1].clone(), score)),
            }
        }
        added
    })?;
    Ok(integer(added))
}

pub(super) fn zrem(db: &mut Db, arguments: &[Bytes]) -> Result {
    let removed = db.change(&arguments[0], |set: &mut SortedSet| {
        arguments[1..].iter().filter(|member| set.remove(*member).is_some()).count()
    })?;
    Ok(integer(removed.unwrap_or(0)))
}

pub(super) fn zcard(db: &mut Db, arguments: &[Bytes]) -> Result {
    Ok(integer(db.get::<SortedSet>(&arguments[0])?.map_or(0, BTreeMap::len)))
}

pub(super) fn zscore(db: &mut Db, arguments: &[Bytes]) -> Result {
    let score = db.get::<SortedSet>(&arguments[0])?.and_then(|set| set.get(&arguments[1]));
    Ok(score.map_or(Reply::Nil, |score| score.text()))
}

pub(super) fn zrange(db: &mut Db, arguments: &[Bytes]) -> Result {
    let with_scores = arguments.get(3).is_some_and(|word| is(word, "WITHSCORES"));
    let (from, to) = (number(&arguments[1])?, number(&arguments[2])?);
    let all = ordered(db.get(&arguments[0])?);
    let index = |end: i64| if end < 0 { end + all.len() as i64 } else { end };
    let (from, to) = (index(from).max(0), index(to).min(all.len() as i64 - 1));
    let taken = if from > to { &[][..] } else { &all[from as usize..=to as usize] };
    Ok(rows(taken, with_scores))
}

pub(super) fn zrangebyscore(db: &mut Db, arguments: &[Bytes]) -> Result {
    by_score(db, &arguments[0], [&arguments[1], &arguments[2]], &arguments[3..], false)
}

pub(super) fn zrevrangebyscore(db: &mut Db, arguments: &[Bytes]) -> Result {
    by_score(db, &arguments[0], [&arguments[2], &arguments[1]], &arguments[3..], true)
}

/// Of a set in which all scores are the same; for any other, Redis' reply is not specified.
pub(super) fn zrangebylex(db: &mut Db, arguments: &[Bytes]) -> Result {
    let end = |text: &Bytes| match text.split_first() {
        Some((b'[', text)) => Ok(Some((text.to_vec(), false))),
        Some((b'(', text)) => Ok(Some((text.to_vec(), true))),
        Some((b'-' | b'+', [])) => Ok(None),
        _ => Err("ERR min or max not valid string range item".to_owned()),
    };
    let (from, to) = (end(&arguments[1])?, end(&arguments[2])?);
    let (mut skip, mut most) = (0, -1);
    match &arguments[3..] {
        [] => {}
        [word, own_skip, own_most] if is(word, "LIMIT") => {
            (skip, most) = (number(own_skip)?, number(own_most)?);
        }
        _ => return Err(syntax()),
    }
    let mut all = ordered(db.get(&arguments[0])?);
    all.retain(|(member, _)| {
        let member: &Bytes = member;
        from.as_ref().is_none_or(|(from, is_open)| if *is_open { member > from } else { member >= from })
            && to.as_ref().is_none_or(|(to, is_open)| if *is_open { member < to } else { member <= to })
    });
    let skip = usize::try_from(skip).unwrap_or(all.len()).min(all.len());
    let most = usize::try_from(most).unwrap_or(all.len()).min(all.len() - skip);
    Ok(rows(&all[skip..skip + most], false))
}

fn by_score(db: &Db, key: &[u8], [from, to]: [&Bytes; 2], options: &[Bytes], is_reversed: bool) -> Result {
    let end = |text: &[u8]| {
        let (text, is_open) = text.strip_prefix(b"(").map_or((text, false), |rest| (rest, true));
        let end = score(text).map_err(|_| "ERR min or max is not a float".to_owned())?;
        Ok::<_, String>((end, is_open))
    };
    let ((from, after), (to, before)) = (end(from)?, end(to)?);
    let (mut with_scores, mut skip, mut most, mut index) = (false, 0, -1, 0);
    while index < options.len() {
        if is(&options[index], "WITHSCORES") {
            with_scores = true;
        } else if is(&options[index], "LIMIT") {
            (skip, most) = (number(at(options, index + 1)?)?, number(at(options, index + 2)?)?);
            index += 2;
        } else {
            return Err(syntax());
        }
        index += 1;
    }
    let mut all = ordered(db.get(key)?);
    all.retain(|(_, score)| {
        (if after { score.0 > from } else { score.0 >= from })
            && (if before { score.0 < to } else { score.0 <= to })
    });
    if is_reversed {
        all.reverse();
    }
    let skip = usize::try_from(skip).unwrap_or(all.len()).min(all.len());
    let most = usize::try_from(most).unwrap_or(all.len()).min(all.len() - skip);
    Ok(rows(&all[skip..skip + most], with_scores))
}
