//! What goes wrong: kinds of faults, and what becomes of a call.

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Kill,
    Pause,
    Stop,
    Reply,
    Rights,
    Memory,
    Clock,
    Failover,
    ByHand,
    Acknowledge,
    Consumer,
    Key,
    Group,
    Control,
}

impl Kind {
    pub(crate) const ALL: [Kind; 14] = [
        Self::Kill,
        Self::Pause,
        Self::Stop,
        Self::Reply,
        Self::Rights,
        Self::Memory,
        Self::Clock,
        Self::Failover,
        Self::ByHand,
        Self::Acknowledge,
        Self::Consumer,
        Self::Key,
        Self::Group,
        Self::Control,
    ];

    /// For tables.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Stop => "stop",
            Self::Reply => "reply lost",
            Self::Rights => "no right",
            Self::Memory => "memory full",
            Self::Clock => "clock set",
            Self::Failover => "failover",
            Self::ByHand => "by hand",
            Self::Acknowledge => "XACK",
            Self::Consumer => "DELCONSUMER",
            Self::Key => "DEL",
            Self::Group => "group gone",
            Self::Control => "paused by hand",
        }
    }
}

/// How the reply of a call arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    /// Redis has run it, and the caller does not learn that.
    Lost,
    /// The caller has no right to this command.
    Denied(&'static str),
}

/// How many faults of each kind may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Left([u8; Kind::ALL.len()]);

impl Left {
    /// That number of each of these.
    pub(crate) fn new(kinds: &[Kind], each: u8) -> Self {
        let mut left = Self::default();
        for kind in kinds {
            left.0[*kind as usize] += each;
        }
        left
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.of(kind) > 0
    }

    pub(crate) fn of(self, kind: Kind) -> u8 {
        self.0[kind as usize]
    }

    /// One of them happens.
    pub(crate) fn spend(&mut self, kind: Kind) {
        let left = &mut self.0[kind as usize];
        *left = left.saturating_sub(1);
    }
}

/// A call in words, and what becomes of it.
pub(crate) fn with_fate(text: String, fate: Fate) -> String {
    match fate {
        Fate::Answered => text,
        Fate::Lost => format!("{text}; Redis does it, and the reply is lost"),
        Fate::Denied(command) => format!("{text}; it has no right to {}", command.to_uppercase()),
    }
}
