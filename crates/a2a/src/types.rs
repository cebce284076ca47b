//! The official A2A types: the only place that names the foreign crate, which is pinned exactly.
//!
//! They drop fields they do not know, so they serve as *views* of a body, never as the body itself.

pub use a2a::{
    AgentCapabilities, AgentCard, AgentExtension, AgentInterface, AgentProvider, AgentSkill, Artifact, Message, Part,
    PartContent, Role, SendMessageRequest, Task as TaskView, TaskState, TaskStatus, error_code, methods,
};
