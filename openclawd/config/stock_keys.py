"""The stock keys that this gateway knows of and does not read (protocol.md 11.2, stock's published schema).

They stay in the file and are named in one notice, so that one can go back to stock any time. Beside each key
stands what its value may be: a type, a tuple of the words allowed, a table of the keys below it, or None
where its inside is stock's own business. Keys of both wire generations are known.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

Shape: TypeAlias = type | tuple[str, ...] | Mapping[str, "Shape"] | None
Table: TypeAlias = Mapping[str, Shape]


def _anything(keys: str) -> Table:
    return dict.fromkeys(keys.split())


# What stock writes about the file itself: nobody needs to be told that it is not used.
BOOKKEEPING: Final = frozenset({"$schema", "meta", "wizard"})

ROOT: Final = _anything(
    """
    $schema accessGroups acp approvals attachments audio auth bindings broadcast browser canvasHost channels
    cli commands commitments crestodian cron diagnostics discovery hooks mcp media memory messages meta
    nodeHost plugins proxy secrets security skills surfaces talk tools transcripts web wizard worktrees
    """
)

UPDATE: Final[Table] = {"checkOnStart": bool, "auto": None}

AUTH: Final[Table] = {
    "allowTailscale": bool,
    "identityScopes": None,
}

TRUSTED_PROXY: Final = _anything("cloudflareAccessOidc deviceAutoApprove")

CONTROL_UI: Final = _anything(
    """
    environment communityInvite github sessionObserver embedSandbox allowExternalEmbedUrls
    automaticallyFetchFavicons experimental
    """
)

REMOTE: Final[Table] = {
    "transport": ("ssh", "direct"),
    "token": None,
    "password": None,
    "sshTarget": str,
    "sshIdentity": str,
    "remotePort": int,
    "edgeAuth": None,
    "sshHostKeyPolicy": None,
}

TAILSCALE: Final[Table] = {"resetOnExit": bool, "preserveFunnel": bool}

RELOAD: Final[Table] = {"deferralTimeoutMs": int}

GATEWAY: Final[Table] = {
    "http": {
        "endpoints": {
            "chatCompletions": {
                "enabled": bool,
                "maxBodyBytes": int,
                "maxImageParts": int,
                "maxTotalImageBytes": int,
                "images": None,
            },
            "responses": {
                "enabled": bool,
                "maxBodyBytes": int,
                "maxUrlParts": int,
                "files": None,
                "images": None,
            },
        },
        "securityHeaders": {"strictTransportSecurity": None},
    },
    "tools": {"allow": list, "deny": list},
    "channelHealthCheckMinutes": int,
    "channelStaleEventThresholdMinutes": int,
    "channelMaxRestartsPerHour": int,
    "handshakeTimeoutMs": int,
    "nodes": {
        "browser": {"mode": ("auto", "manual", "off"), "node": str},
        "allowCommands": list,
        "denyCommands": list,
        "commands": {"allow": list, "deny": list},
        "pairing": {"autoApproveLocal": None, "autoApproveCidrs": list, "sshVerify": None},
        "pluginTools": None,
        "allowSkills": None,
    },
    "webchat": {"chatHistoryMaxChars": int},
    "push": {"apns": {"relay": {"baseUrl": str, "timeoutMs": int}}},
    "cliAgents": {"enabled": bool},
    "publicOrigin": str,
    "portals": None,
    "terminal": None,
    "roles": None,
}

AGENT_DEFAULTS: Final = _anything(
    """
    agentRuntime blockStreamingBreak blockStreamingChunk blockStreamingCoalesce blockStreamingDefault
    bootstrapMaxChars bootstrapPromptTruncationWarning bootstrapTotalMaxChars cliBackends compaction
    contextPruning contextTokens elevatedDefault embeddedHarness embeddedPi envelopeElapsed envelopeTimestamp
    envelopeTimezone heartbeat humanDelay imageGenerationModel imageMaxDimensionPx imageModel llm
    maxConcurrent mediaGenerationAutoProviderFallback mediaMaxMb memorySearch models musicGenerationModel
    params pdfMaxBytesMb pdfMaxPages pdfModel repoRoot sandbox silentReply silentReplyRewrite skills
    skipBootstrap subagents systemPromptOverride thinkingDefault timeFormat tools typingIntervalSeconds
    typingMode userTimezone verboseDefault videoGenerationModel
    """
)

AGENT: Final = _anything(
    """
    agentDir groupChat heartbeat humanDelay memorySearch models params runtime sandbox skills subagents
    thinking tools
    """
)

MODEL_CHOICE: Final[Table] = {}

MODELS: Final = _anything("bedrockDiscovery pricing")

PROVIDER: Final = _anything(
    "auth authHeader compat injectNumCtxForOpenAICompat params request timeoutSeconds"
)

MODEL: Final = _anything("api compat headers params")

SESSION: Final = _anything(
    """
    agentToAgent dmScope identityLinks idleMinutes maintenance parentForkMaxTokens reset resetByChannel
    resetByType resetTriggers sendPolicy store threadBindings typingIntervalSeconds typingMode writeLock
    """
)

UI: Final = _anything("seamColor prefs")

LOGGING: Final = _anything("consoleLevel consoleStyle file maxFileBytes redactPatterns redactSensitive")
