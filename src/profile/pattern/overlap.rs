//! Whether two patterns have a name in common: a search through both at once.
//!
//! Each pattern is an automaton that reads a name character by character. The search walks the
//! pairs of their states, breadth first, so that the name it finds is a shortest one. Every pair
//! is visited once: time is bounded by the product of the patterns' lengths.

use std::collections::{HashMap, VecDeque};

use super::{MAX_GPUS, is_digit};

/// Stands for all characters that neither pattern names and that are no digits.
const OTHER: char = 'x';

/// One step of a pattern.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Token {
    /// This character.
    Literal(char),
    /// Any text.
    Star,
    /// A run of digits that is a count.
    Gpus,
}

/// How far one of the patterns has come.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Place {
    /// The token that comes next, or that is being read.
    at: usize,
    /// The part of a count that is read: 0 before its first digit.
    count: u32,
}

impl Place {
    const START: Self = Self { at: 0, count: 0 };

    fn next(self) -> Self {
        Self { at: self.at + 1, count: 0 }
    }

    /// Moves on without reading: past a star, or past a count that has its digits.
    fn skip(self, tokens: &[Token]) -> Option<Self> {
        match tokens.get(self.at)? {
            Token::Star => Some(self.next()),
            Token::Gpus if self.count > 0 => Some(self.next()),
            Token::Gpus | Token::Literal(_) => None,
        }
    }

    fn read(self, tokens: &[Token], c: char, last: Last) -> Option<Self> {
        match tokens.get(self.at)? {
            Token::Literal(literal) => (*literal == c).then(|| self.next()),
            Token::Star => Some(self),
            Token::Gpus => {
                // The run must begin here, and must not begin with a zero.
                let begins = self.count > 0 || (last == Last::Other && c != '0');
                let count = self.count * 10 + c.to_digit(10)?;
                (begins && count <= MAX_GPUS).then_some(Self { count, ..self })
            }
        }
    }
}

/// What was read last.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Last {
    /// No digit, or nothing yet.
    Other,
    /// A digit.
    Digit,
    /// A digit that ends a count: no other digit may follow.
    CountEnd,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct State {
    left: Place,
    right: Place,
    last: Last,
}

/// How a state was reached: from which one, and by which character, if any.
type Origin = Option<(State, Option<char>)>;

/// A shortest name that both patterns match.
pub(super) fn common_name(left: &[Token], right: &[Token]) -> Option<String> {
    let start = State { left: Place::START, right: Place::START, last: Last::Other };
    let mut origins = HashMap::new();
    let mut queue: VecDeque<(State, Origin)> = VecDeque::from([(start, None)]);
    while let Some((state, origin)) = queue.pop_front() {
        if origins.contains_key(&state) {
            continue;
        }
        origins.insert(state, origin);
        if state.left.at == left.len() && state.right.at == right.len() {
            let name = name_to(state, &origins);
            // Patterns of stars alone meet in the empty text, and a name is not empty.
            return Some(if name.is_empty() { OTHER.to_string() } else { name });
        }
        // A step that reads nothing makes the name no longer, so it goes to the front.
        for skipped in skips(state, left, right).into_iter().flatten() {
            queue.push_front((skipped, Some((state, None))));
        }
        for &c in candidates(left.get(state.left.at), right.get(state.right.at)) {
            if let Some(read) = read(state, left, right, c) {
                queue.push_back((read, Some((state, Some(c)))));
            }
        }
    }
    None
}

/// The states after a step of one side that reads nothing.
fn skips(state: State, left: &[Token], right: &[Token]) -> [Option<State>; 2] {
    let after = |place: Place| if place.count > 0 { Last::CountEnd } else { state.last };
    [
        state.left.skip(left).map(|place| State { left: place, last: after(state.left), ..state }),
        state.right.skip(right).map(|place| State {
            right: place,
            last: after(state.right),
            ..state
        }),
    ]
}

/// The state after both sides have read a character.
fn read(state: State, left: &[Token], right: &[Token], c: char) -> Option<State> {
    let digit = is_digit(c);
    if digit && state.last == Last::CountEnd {
        return None;
    }
    Some(State {
        left: state.left.read(left, c, state.last)?,
        right: state.right.read(right, c, state.last)?,
        last: if digit { Last::Digit } else { Last::Other },
    })
}

/// The characters worth trying: any other leads to the same states as one of these.
fn candidates<'a>(left: Option<&'a Token>, right: Option<&'a Token>) -> &'a [char] {
    match (left, right) {
        (Some(Token::Literal(c)), Some(_)) | (Some(_), Some(Token::Literal(c))) => {
            std::slice::from_ref(c)
        }
        // Between two stars only whether it is a digit matters.
        (Some(Token::Star), Some(Token::Star)) => &[OTHER, '1'],
        (Some(_), Some(_)) => &['1', '2', '3', '4', '5', '6', '7', '8', '9', '0'],
        (None, _) | (_, None) => &[],
    }
}

/// The text read on the way to a state.
fn name_to(mut state: State, origins: &HashMap<State, Origin>) -> String {
    let mut name: Vec<char> = Vec::new();
    while let Some(Some((from, c))) = origins.get(&state) {
        name.extend(c);
        state = *from;
    }
    name.iter().rev().collect()
}
