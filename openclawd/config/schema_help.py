"""What each key that we read is for: a sentence for the person who edits the configuration in a form."""

from collections.abc import Mapping
from typing import Final

from openclawd.config import model

# Of the keys that are known and not read.
UNREAD_HELP: Final = "Kept for OpenClaw; openclawd does not use it."

HELP: Final[Mapping[type, Mapping[str, str]]] = {
    model.Config: {
        "gateway": "Where the gateway listens, and who may connect.",
        "agents": "Who there is to talk to.",
        "models": "Where answers come from.",
        "session": "How conversations are told apart.",
        "ui": "How the assistant appears on the page.",
        "logging": "What is written to the log.",
        "env": "Variables that count where the environment has none.",
        "update": "Which versions are for this gateway.",
        "openclawd": "The settings that OpenClaw does not know.",
    },
    model.Gateway: {
        "mode": "Whether this gateway runs here; a remote one runs elsewhere, and this one does not start.",
        "port": "The TCP port for HTTP and WebSocket.",
        "bind": "Which addresses to listen on: this machine only, the local network, or a chosen address.",
        "custom_bind_host": "The address for bind: custom.",
        "auth": "What a client must present.",
        "trusted_proxies": "Addresses and networks whose forwarded headers count.",
        "allow_real_ip_fallback": "Let a trusted proxy's X-Real-IP say who the client is.",
        "control_ui": "The page that the gateway serves.",
        "tls": "Encryption on the port itself.",
        "reload": "What happens when this file is changed while the gateway runs.",
        "remote": "A gateway elsewhere that this machine's commands talk to.",
        "tailscale": "Publishing through Tailscale; not supported, run tailscale yourself.",
    },
    model.Auth: {
        "mode": "The kind of secret; without it, a password if there is one, else a token.",
        "token": "The shared token. One is made and saved when there is none.",
        "password": "The shared password.",
        "rate_limit": "What wrong secrets cost the address that they come from.",
        "trusted_proxy": "In mode trusted-proxy: which headers of the proxy say who the user is.",
    },
    model.RateLimit: {
        "max_attempts": "How many wrong secrets an address may try in a row; each delays the next answer.",
        "window_ms": "The longer of windowMs and lockoutMs is the time until all tries are back.",
        "lockout_ms": "The longer of windowMs and lockoutMs is the time until all tries are back.",
        "exempt_loopback": "Programs on this machine are slowed, never shut out.",
    },
    model.TrustedProxy: {
        "user_header": "The header in which the proxy names the user that it has authenticated.",
        "required_headers": "Headers that must be there and not empty, too.",
        "allow_users": "The users that may come in; empty means all that the proxy names.",
        "allow_loopback": "Also trust a proxy on this machine, where other programs can pretend to be it.",
    },
    model.ControlUi: {
        "enabled": "Serve the page.",
        "base_path": "The path under which the page is served.",
        "root": "A folder with another page to serve instead.",
        "allowed_origins": "More origins from which pages may connect.",
        "dangerously_allow_host_header_origin_fallback": "Let any page connect whose origin is the Host.",
        "allow_insecure_auth": "Let pages of this machine connect without a device key.",
        "dangerously_disable_device_auth": "Ignore the device keys of pages.",
    },
    model.Tls: {
        "enabled": "Speak https and wss on the port, and nothing else.",
        "auto_generate": "Make a certificate when there is none, and another before it expires.",
        "cert_path": "The certificate (PEM); without it, one in <state>/gateway/tls.",
        "key_path": "Its private key (PEM, without a passphrase).",
        "ca_path": "Certificates of the authorities between it and a root, sent along with it (PEM).",
    },
    model.Reload: {
        "mode": "hybrid: go by it, with a restart where it needs one; hot: without; restart: always; off.",
        "debounce_ms": "How long the file must have been left alone before it is read, in milliseconds.",
    },
    model.Remote: {
        "url": "Its address, like wss://host:18789.",
        "tls_fingerprint": "The SHA-256 of its certificate; with it, --url trusts no other.",
    },
    model.Tailscale: {"mode": "Not supported; must be off."},
    model.Agents: {
        "defaults": "What holds for every agent that does not say otherwise.",
        "list": "The agents, in order.",
        "entries": "The agents, by their ids.",
    },
    model.AgentDefaults: {
        "model": "The model that answers, as provider/model.",
        "workspace": "The folder of the default agent.",
        "timeout_seconds": "How long an answer may take.",
    },
    model.ModelChoice: {
        "primary": "The model, as provider/model.",
        "fallbacks": "The models that are asked, in this order, when it cannot answer.",
    },
    model.Agent: {
        "id": "The name that stands in session keys: lower case letters, digits, - and _.",
        "name": "What the agent is called.",
        "default": "Whether this agent answers where none is named.",
        "workspace": "The agent's folder.",
        "model": "The model that answers, as provider/model.",
        "identity": "How the agent appears.",
    },
    model.Identity: {
        "name": "The name that is shown.",
        "theme": "A few words on its character.",
        "emoji": "An emoji that stands for it.",
        "avatar": "A picture in its workspace, or a letter.",
    },
    model.Models: {
        "mode": "merge: these and those that are found (OPENAI_API_KEY, Ollama); replace: these only.",
        "providers": "The servers that answer, by name.",
    },
    model.Provider: {
        "base_url": "Where its API is, such as https://api.openai.com/v1.",
        "api_key": "Its key; ${NAME} takes it from the environment.",
        "api": "Which API it speaks.",
        "headers": "More headers to send.",
        "models": "Its models.",
    },
    model.ModelEntry: {
        "id": "What the provider calls it.",
        "name": "What people call it.",
        "reasoning": "Whether it can think before it answers.",
        "input": "What it reads: text, image.",
        "context_window": "How much it can read and write in one conversation, in tokens.",
        "max_tokens": "How long an answer can be, in tokens.",
        "cost": "What it costs, in US dollars for a million tokens.",
    },
    model.Cost: {
        "input": "Tokens that it reads.",
        "output": "Tokens that it writes.",
        "cache_read": "Tokens that it reads from its cache.",
        "cache_write": "Tokens that it writes to its cache.",
        "tiered_pricing": "Other prices for long prompts.",
    },
    model.PriceTier: {
        "input": "Tokens that it reads.",
        "output": "Tokens that it writes.",
        "range": "From how many tokens of a prompt on, and up to how many.",
        "cache_read": "Tokens that it reads from its cache.",
        "cache_write": "Tokens that it writes to its cache.",
    },
    model.Session: {
        "main_key": "The name of the main conversation.",
        "scope": "One conversation for each sender, or one for all.",
    },
    model.Ui: {"assistant": "The assistant's name and picture, where an agent has none."},
    model.Assistant: {"name": "The name that is shown.", "avatar": "A picture or a letter."},
    model.Logging: {"level": "How much is logged."},
    model.Own: {
        "public_origin": "The origin under which people reach the page through a proxy.",
        "restart": "Restarts.",
        "backup": "Daily backups of conversations, devices and settings.",
        "update": "Other versions of openclawd.",
    },
    model.Backup: {
        "keep": "For how many days a backup is kept; with 0 none is made.",
        "max_bytes": "How many bytes all of them may take together; the newest stays in any case.",
    },
    model.Update: {"channel": "stable, or beta for versions that are tried first; dev is beta here."},
    model.OwnUpdate: {
        "urls": "Where versions come from, tried in this order; empty: where this program was built to look.",
        "root": "A file with the keys (TUF root metadata) that vouch for versions, for releases of your own.",
        "keep": "How many versions stay installed; the current and the previous one do in any case.",
        "trial_ms": "How long a new version is watched before it stays, in milliseconds.",
        "auto": "What is done by itself: off, check for newer versions and tell, or install them.",
        "every_hours": "How often that is, in hours.",
        "quiet_hours": "When nothing is begun by itself, by the clock of the machine, like 22:00-07:00.",
    },
    model.Restart: {"drain_ms": "How long a restart waits for answers under way, in milliseconds."},
}
