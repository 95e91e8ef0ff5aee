-- Wireshark and tshark: the TCP options CRYPT and MAC of tcpcrypt (draft-bittau-tcp-crypt-04, and the dialect of tcpcryptd 0.3).
-- Load it with `tshark -X lua_script:tcpcrypt.lua`, or put it into Wireshark's folder of personal Lua plugins. README.md lists the fields.
--
-- A post-dissector, since TCP has no table of option kinds: it reads the octets of each TCP header's options as TCP's own dissector found them, and of INIT1 and INIT2 the segment's data.
-- It keeps nothing from one packet to the next, reassembles nothing and knows no key. Whatever the octets are, every access below is inside of what is there.

local tcpcrypt = Proto("tcpcrypt", "Tcpcrypt")

-- Names ----------------------------------------------------------------------------------------------------------------------------------------------------

local HELLO, DECLINE, INIT1, INIT2 = 0x01, 0x04, 0x07, 0x08
local PKCONF, PKCONF_APP, UNKNOWN, SYNCOOKIE, ACKCOOKIE = 0x41, 0x42, 0x43, 0x44, 0x45
local SYNC_REQ, SYNC_OK, REKEY, REKEYSTREAM, NEXTK1, OPCODE_85 = 0x80, 0x81, 0x82, 0x83, 0x84, 0x85

local opcodes = {
    [0x00] = "Padding", [HELLO] = "HELLO", [0x02] = "HELLO-app-support", [0x03] = "HELLO-app-mandatory", [DECLINE] = "DECLINE", [0x05] = "NEXTK2", [0x06] = "NEXTK2-app-support",
    [INIT1] = "INIT1", [INIT2] = "INIT2", [PKCONF] = "PKCONF", [PKCONF_APP] = "PKCONF-app-support", [UNKNOWN] = "UNKNOWN", [SYNCOOKIE] = "SYNCOOKIE", [ACKCOOKIE] = "ACKCOOKIE",
    [SYNC_REQ] = "SYNC_REQ", [SYNC_OK] = "SYNC_OK", [REKEY] = "REKEY", [REKEYSTREAM] = "REKEYSTREAM", [NEXTK1] = "NEXTK1", [OPCODE_85] = "NEXTK1-app-support or IV",
}

-- What of 80..ff has a length that we know, the opcode counted. 85 only on a SYN: elsewhere it is the IV of a cipher, and none has one.
local fixed_lengths = { [SYNC_REQ] = 5, [SYNC_OK] = 5, [REKEY] = 2, [REKEYSTREAM] = 6, [NEXTK1] = 10 }

local MARKER = 0x00f004
local key_exchanges = { [0x000100] = "OAEP-RSA, exponent 3", [0x000200] = "ECDHE P-256", [0x000201] = "ECDHE P-521", [MARKER] = "marker: speaks the draft" }
local short_key_exchanges = { [0x000100] = "RSA", [0x000200] = "P-256", [0x000201] = "P-521", [MARKER] = "draft" }
local ciphers = { [0x00000100] = "AES-128, HMAC-SHA-256-128", [0x00000200] = "AES-128, Poly1305-AES", [0x00000300] = "AES-128, AES-128-CMAC" }

local DRAFT, REFERENCE = 1, 2
local dialects = { [DRAFT] = "draft", [REFERENCE] = "reference (tcpcryptd)" }
local REFERENCE_INIT1, REFERENCE_INIT2 = 0x15101a0e, 0x097105e0
local DRAFT_INIT1, DRAFT_INIT2 = 0x2911, 0x8310

-- Fields ---------------------------------------------------------------------------------------------------------------------------------------------------

local f = {
    crypt = ProtoField.bytes("tcpcrypt.crypt", "CRYPT option"),
    kind = ProtoField.uint8("tcpcrypt.kind", "Kind"),
    length = ProtoField.uint8("tcpcrypt.length", "Length"),
    suboption = ProtoField.bytes("tcpcrypt.suboption", "Suboption"),
    opcode = ProtoField.uint8("tcpcrypt.opcode", "Opcode", base.HEX, opcodes),
    name = ProtoField.string("tcpcrypt.name", "Name"),
    suboption_length = ProtoField.uint8("tcpcrypt.suboption.length", "Length"),
    pkconf = ProtoField.uint24("tcpcrypt.pkconf", "Key exchange", base.HEX, key_exchanges),
    unknown = ProtoField.uint8("tcpcrypt.unknown", "Opcode not understood", base.HEX, opcodes),
    syncookie = ProtoField.bytes("tcpcrypt.syncookie", "Cookie"),
    ackcookie = ProtoField.bytes("tcpcrypt.ackcookie", "Cookie"),
    sync_req = ProtoField.uint32("tcpcrypt.sync_req", "Clock"),
    sync_ok = ProtoField.uint32("tcpcrypt.sync_ok", "Clock"),
    rekey = ProtoField.uint8("tcpcrypt.rekey", "KeyLSB"),
    rekeystream = ProtoField.uint8("tcpcrypt.rekeystream", "KeyLSB"),
    rekeystream_offset = ProtoField.uint32("tcpcrypt.rekeystream.offset", "Offset"),
    nextk1 = ProtoField.bytes("tcpcrypt.nextk1", "Session ID, first nine octets"),
    data = ProtoField.bytes("tcpcrypt.data", "Data"),

    dialect = ProtoField.uint8("tcpcrypt.dialect", "Dialect", base.DEC, dialects),
    init1 = ProtoField.bytes("tcpcrypt.init1", "INIT1"),
    init1_length = ProtoField.uint32("tcpcrypt.init1.length", "Length of the message"),
    init1_magic = ProtoField.uint32("tcpcrypt.init1.magic", "Magic", base.HEX),
    init1_cipher_count = ProtoField.uint16("tcpcrypt.init1.cipher_count", "Number of ciphers"),
    init1_nonce_length = ProtoField.uint16("tcpcrypt.init1.nonce_length", "Length of the nonce"),
    init1_key_length = ProtoField.uint16("tcpcrypt.init1.key_length", "Length of the public key"),
    init1_cipher = ProtoField.uint32("tcpcrypt.init1.cipher", "Cipher", base.HEX, ciphers),
    init1_nonce = ProtoField.bytes("tcpcrypt.init1.nonce", "Nonce N_C"),
    init1_key_exchange = ProtoField.uint24("tcpcrypt.init1.key_exchange", "Key exchange", base.HEX, key_exchanges),
    init1_key = ProtoField.bytes("tcpcrypt.init1.key", "Public key PK_C"),
    init2 = ProtoField.bytes("tcpcrypt.init2", "INIT2"),
    init2_length = ProtoField.uint32("tcpcrypt.init2.length", "Length of the message"),
    init2_magic = ProtoField.uint32("tcpcrypt.init2.magic", "Magic", base.HEX),
    init2_kx_length = ProtoField.uint16("tcpcrypt.init2.kx_length", "Length of KX_S"),
    init2_cipher = ProtoField.uint32("tcpcrypt.init2.cipher", "Cipher", base.HEX, ciphers),
    init2_kx = ProtoField.bytes("tcpcrypt.init2.kx", "KX_S"),
    init2_nonce = ProtoField.bytes("tcpcrypt.init2.nonce", "Nonce N_S"),
    init2_key = ProtoField.bytes("tcpcrypt.init2.key", "Public key PK_S"),
    init2_secret = ProtoField.bytes("tcpcrypt.init2.secret", "Encrypted secret"),

    mac = ProtoField.bytes("tcpcrypt.mac", "MAC option"),
    tag = ProtoField.bytes("tcpcrypt.mac.tag", "Tag"),
    ciphertext = ProtoField.bytes("tcpcrypt.ciphertext", "Encrypted data"),
}
tcpcrypt.fields = {}
for _, field in pairs(f) do
    table.insert(tcpcrypt.fields, field)
end

local e = {
    malformed = ProtoExpert.new("tcpcrypt.malformed", "Malformed: counts as absent", expert.group.MALFORMED, expert.severity.WARN),
    unknown_opcode = ProtoExpert.new("tcpcrypt.unknown_opcode", "Unknown opcode: the rest of the option cannot be read", expert.group.UNDECODED, expert.severity.NOTE),
    behind_end = ProtoExpert.new("tcpcrypt.behind_end", "An option behind the end of the option list does not count", expert.group.PROTOCOL, expert.severity.NOTE),
    part = ProtoExpert.new("tcpcrypt.init.part", "The message goes on in another segment", expert.group.REASSEMBLE, expert.severity.NOTE),
    no_init = ProtoExpert.new("tcpcrypt.init.missing", "The data is no such message: encrypted, or the rest of one", expert.group.PROTOCOL, expert.severity.NOTE),
    init_malformed = ProtoExpert.new("tcpcrypt.init.malformed", "Lengths of the message do not fit", expert.group.MALFORMED, expert.severity.WARN),
    mac_length = ProtoExpert.new("tcpcrypt.mac.invalid", "Not the one MAC option of 18 octets: invalid", expert.group.MALFORMED, expert.severity.WARN),
}
tcpcrypt.experts = {}
for _, info in pairs(e) do
    table.insert(tcpcrypt.experts, info)
end

tcpcrypt.prefs.crypt_kind = Pref.uint("Kind of the CRYPT option", 69, "TCP option kind; 69 is also TCP-ENO's")
tcpcrypt.prefs.mac_kind = Pref.uint("Kind of the MAC option", 70, "TCP option kind")

local tcp_options, tcp_payload, tcp_flags = Field.new("tcp.options"), Field.new("tcp.payload"), Field.new("tcp.flags")

-- Messages -------------------------------------------------------------------------------------------------------------------------------------------------

local function named(names, value, width)
    return names[value] or string.format("%0" .. width .. "x", value)
end

-- Hands out a message part by part. False when it ends before the part does: then what is left of it is the last that is shown.
local function cursor(octets, tree)
    local at, cut = 0, false
    return function(field, length)
        if cut or length == 0 then
            return not cut
        end
        cut = at + length > octets:len()
        if cut then
            length = octets:len() - at
            if length > 0 then
                tree:add(f.data, octets:range(at, length))
            end
            at = octets:len()
            return false
        end
        local range = octets:range(at, length)
        at = at + length
        if field then
            tree:add(field, range)
        end
        return true, range
    end
end

-- What a message's tree ends with: the part that is missing, or lengths that contradict each other.
local function finish(tree, octets, length, expected)
    if length ~= expected then
        tree:add_proto_expert_info(e.init_malformed)
    elseif length > octets:len() then
        tree:add_proto_expert_info(e.part)
    elseif length < octets:len() then
        tree:add(f.data, octets:range(length))
        tree:add_proto_expert_info(e.init_malformed)
    end
end

local function show_init1(octets, root)
    local draft = octets:len() >= 12 and octets:range(4, 2):uint() == DRAFT_INIT1
    local reference = octets:len() >= 16 and octets:range(0, 4):uint() == REFERENCE_INIT1
    local tree = root:add(f.init1, octets)
    tree:set_text("INIT1")
    if not draft and not reference then
        tree:add_proto_expert_info(e.no_init)
        return "INIT1"
    end

    tree:add(f.dialect, reference and REFERENCE or DRAFT):set_generated()
    local take = cursor(octets, tree)
    local count, nonce_length, key_length, length
    if reference then
        length = octets:range(4, 4):uint()
        count, nonce_length = octets:range(14, 2):uint(), 32
        key_length = math.max(0, length - 48 - 4 * count)
        take(f.init1_magic, 4)
        take(f.init1_length, 4)
        take(nil, 1)
        take(f.init1_key_exchange, 3)
        take(nil, 2)
        take(f.init1_cipher_count, 2)
    else
        length = octets:range(0, 4):uint()
        count, nonce_length, key_length = octets:range(6, 2):uint(), octets:range(8, 2):uint(), octets:range(10, 2):uint()
        take(f.init1_length, 4)
        take(f.init1_magic, 2)
        take(f.init1_cipher_count, 2)
        take(f.init1_nonce_length, 2)
        take(f.init1_key_length, 2)
    end

    local last = 0
    while last < count and take(f.init1_cipher, 4) do
        last = last + 1
    end
    take(f.init1_nonce, nonce_length)
    local exchange = ""
    if reference then
        exchange = octets:range(9, 3):uint()
        take(f.init1_key, key_length)
        finish(tree, octets, length, 48 + 4 * count + key_length)
    else
        take(nil, 1)
        local there, range = take(f.init1_key_exchange, 3)
        exchange = there and range:uint()
        take(f.init1_key, key_length)
        finish(tree, octets, length, 16 + 4 * count + nonce_length + key_length)
    end
    tree:append_text(", " .. dialects[reference and REFERENCE or DRAFT])
    return "INIT1 " .. (exchange and named(short_key_exchanges, exchange, 6) or "cut")
end

local function show_kx(tree, range)
    local kx = tree:add(f.init2_kx, range)
    -- ECDHE's starts with the length of its nonce, 32, and ends with a point; RSA's is as long as a modulus.
    if (range:len() == 98 or range:len() == 166) and range:range(0, 1):uint() == 32 then
        kx:add(f.init2_nonce, range:range(1, 32))
        kx:add(f.init2_key, range:range(33))
    else
        kx:add(f.init2_secret, range)
    end
end

local function show_init2(octets, root)
    local draft = octets:len() >= 8 and octets:range(4, 2):uint() == DRAFT_INIT2
    local reference = octets:len() >= 8 and octets:range(0, 4):uint() == REFERENCE_INIT2
    local tree = root:add(f.init2, octets)
    tree:set_text("INIT2")
    if not draft and not reference then
        tree:add_proto_expert_info(e.no_init)
        return "INIT2"
    end

    tree:add(f.dialect, reference and REFERENCE or DRAFT):set_generated()
    local take = cursor(octets, tree)
    local length, kx_length
    if reference then
        length = octets:range(4, 4):uint()
        kx_length = math.max(0, length - 12)
        take(f.init2_magic, 4)
        take(f.init2_length, 4)
    else
        length = octets:range(0, 4):uint()
        kx_length = octets:range(6, 2):uint()
        take(f.init2_length, 4)
        take(f.init2_magic, 2)
        take(f.init2_kx_length, 2)
    end
    take(f.init2_cipher, 4)
    local there, range = take(nil, kx_length)
    if there and range then
        show_kx(tree, range)
    end
    finish(tree, octets, length, 12 + kx_length)
    tree:append_text(", " .. dialects[reference and REFERENCE or DRAFT])
    return "INIT2"
end

-- Options --------------------------------------------------------------------------------------------------------------------------------------------------

local function show_pkconf(tree, body)
    if body:len() == 0 or body:len() % 3 ~= 0 then
        return false
    end
    local names = {}
    for at = 0, body:len() - 3, 3 do
        local entry = body:range(at, 3)
        tree:add(f.pkconf, entry)
        table.insert(names, named(short_key_exchanges, entry:uint(), 6))
    end
    return true, " " .. table.concat(names, " ")
end

local show_body = {
    [PKCONF] = show_pkconf,
    [PKCONF_APP] = show_pkconf,
    [UNKNOWN] = function(tree, body)
        local names = {}
        for at = 0, body:len() - 1 do
            tree:add(f.unknown, body:range(at, 1))
            table.insert(names, named(opcodes, body:range(at, 1):uint(), 2))
        end
        return true, " " .. table.concat(names, " ")
    end,
    [SYNCOOKIE] = function(tree, body) tree:add(f.syncookie, body) return true, "" end,
    [ACKCOOKIE] = function(tree, body) tree:add(f.ackcookie, body) return true, "" end,
    [SYNC_REQ] = function(tree, body) tree:add(f.sync_req, body) return true, " " .. body:uint() end,
    [SYNC_OK] = function(tree, body) tree:add(f.sync_ok, body) return true, " " .. body:uint() end,
    [REKEY] = function(tree, body) tree:add(f.rekey, body) return true, " " .. body:uint() end,
    [REKEYSTREAM] = function(tree, body)
        tree:add(f.rekeystream, body:range(0, 1))
        tree:add(f.rekeystream_offset, body:range(1, 4))
        return true, " " .. body:range(0, 1):uint()
    end,
    [NEXTK1] = function(tree, body) tree:add(f.nextk1, body) return true, "" end,
}

-- The length of the suboption at `at`, and how many of its octets precede its body; nil when the option is malformed there, 0 when only who knows the opcode could tell.
local function measure(option, at, opcode, syn)
    if opcode < 0x40 then
        return 1, 1
    elseif opcode < 0x80 then
        if at + 2 > option:len() then
            return nil
        end
        local length = option:range(at + 1, 1):uint()
        if length < 2 or at + length > option:len() then
            return nil
        end
        return length, 2
    end
    local length = fixed_lengths[opcode] or (opcode == OPCODE_85 and syn and 10) or 0
    if at + length > option:len() then
        return nil
    end
    return length, 1
end

-- One CRYPT option. Returns what it says in words, and which messages are in the segment's data.
local function show_crypt(root, option, syn, opening)
    local tree = root:add(f.crypt, option)
    tree:set_text("CRYPT option")
    tree:add(f.kind, option:range(0, 1))
    tree:add(f.length, option:range(1, 1))
    local words, messages, at = {}, {}, 2
    if option:len() == 2 and opening then
        -- An empty option on a SYN says HELLO, and so do the names here.
        tree:add(f.name, "HELLO"):set_generated()
        table.insert(words, "HELLO")
    end

    while at < option:len() do
        local opcode = option:range(at, 1):uint()
        local length, head = measure(option, at, opcode, syn)
        if not length then
            tree:add_proto_expert_info(e.malformed)
            return "malformed", {}
        end

        local name = opcode == OPCODE_85 and (syn and "NEXTK1-app-support" or "IV") or opcodes[opcode]
        local range = length > 0 and option:range(at, length) or option:range(at)
        local suboption = tree:add(f.suboption, range)
        suboption:set_text(name or string.format("Unknown suboption %02x", opcode))
        suboption:add(f.opcode, option:range(at, 1))
        suboption:add(f.name, name or string.format("%02x", opcode)):set_generated()
        if length == 0 then
            suboption:add_proto_expert_info(e.unknown_opcode)
            table.insert(words, name or string.format("%02x?", opcode))
            break
        end

        local detail = ""
        if head == 2 then
            suboption:add(f.suboption_length, option:range(at + 1, 1))
        end
        local show = opcode == OPCODE_85 and show_body[NEXTK1] or show_body[opcode]
        if length > head then
            local body = option:range(at + head, length - head)
            local good = true
            if show then
                good, detail = show(suboption, body)
            else
                suboption:add(f.data, body)
            end
            if not good then
                tree:add_proto_expert_info(e.malformed)
                return "malformed", {}
            end
        elseif opcode == PKCONF or opcode == PKCONF_APP then
            tree:add_proto_expert_info(e.malformed)
            return "malformed", {}
        end

        messages[opcode] = true
        if opcode == INIT1 or opcode == INIT2 then
            detail = nil -- the message itself says more
        end
        if detail then
            suboption:append_text(detail)
            if opcode ~= 0 then
                table.insert(words, (name or string.format("%02x", opcode)) .. detail)
            end
        end
        at = at + length
    end

    tree:append_text(": " .. table.concat(words, ", "))
    return table.concat(words, ", "), messages
end

local function show_mac(root, option, first)
    local tree = root:add(f.mac, option)
    tree:set_text("MAC option")
    tree:add(f.kind, option:range(0, 1))
    tree:add(f.length, option:range(1, 1))
    if option:len() > 2 then
        tree:add(f.tag, option:range(2))
        tree:append_text(": " .. tostring(option:range(2):bytes()):lower())
    end
    if option:len() ~= 18 or not first then
        tree:add_proto_expert_info(e.mac_length)
    end
end

-- The options of one header that are ours, up to the end of the list as TCP reads it; and whether one of ours is behind that.
local function find(options)
    local found, at, ended, behind = {}, 0, false, false
    while at < options:len() do
        local kind = options:range(at, 1):uint()
        local length = 1
        if kind == 0 then
            ended = true
        elseif kind ~= 1 then
            length = at + 2 <= options:len() and options:range(at + 1, 1):uint() or 0
            if length < 2 or at + length > options:len() then
                break
            end
            if kind == tcpcrypt.prefs.crypt_kind or kind == tcpcrypt.prefs.mac_kind then
                behind = behind or ended
                if not ended then
                    table.insert(found, { kind = kind, range = options:range(at, length) })
                end
            end
        end
        at = at + length
    end
    return found, behind
end

-- The data of the segment whose options these are. A frame can hold several TCP headers: tunnels, and ICMP errors that quote one.
local function payload_of(options, payloads)
    for _, payload in ipairs(payloads) do
        if payload.offset == options.offset + options.len and payload.len > 0 then
            return payload.range
        end
    end
    return nil
end

-- The flags of the header whose options these are: seven octets before them.
local function flags_of(options, all_flags)
    for _, flags in ipairs(all_flags) do
        if flags.offset == options.offset - 8 then
            return flags.value
        end
    end
    return 0
end

local function show_header(options, payload, flags, pinfo, root)
    local found, behind = find(options.range)
    if #found == 0 and not behind then
        return
    end

    local tree = root:add(tcpcrypt, options.range)
    local syn, opening = flags % 4 >= 2, flags % 4 >= 2 and flags % 32 < 16
    local words, macs, messages, empty = {}, 0, {}, nil
    for _, option in ipairs(found) do
        if option.kind == tcpcrypt.prefs.crypt_kind then
            local said, present = show_crypt(tree, option.range, syn, opening)
            for opcode in pairs(present) do
                messages[opcode] = true
            end
            if said ~= "" then
                table.insert(words, said)
            end
        else
            macs = macs + 1
            show_mac(tree, option.range, macs == 1)
        end
    end
    if behind then
        tree:add_proto_expert_info(e.behind_end)
    end

    -- With a MAC the data is encrypted, INIT or not.
    if macs > 0 then
        table.insert(words, "MAC")
        if payload then
            tree:add(f.ciphertext, payload)
        end
    elseif payload and messages[INIT1] then
        table.insert(words, show_init1(payload, tree))
    elseif payload and messages[INIT2] then
        table.insert(words, show_init2(payload, tree))
    end
    if not payload or macs > 0 then
        if messages[INIT1] then
            table.insert(words, "INIT1")
        end
        if messages[INIT2] then
            table.insert(words, "INIT2")
        end
    end

    local text = table.concat(words, ", ")
    tree:append_text(text ~= "" and ": " .. text or "")
    pinfo.cols.protocol = "tcpcrypt"
    pinfo.cols.info:append(" [tcpcrypt" .. (text ~= "" and " " .. text or "") .. "]")
end

function tcpcrypt.dissector(_, pinfo, root)
    local all_options = { tcp_options() }
    if #all_options == 0 then
        return
    end

    local payloads, all_flags = { tcp_payload() }, { tcp_flags() }
    for _, options in ipairs(all_options) do
        if options.len > 0 then
            show_header(options, payload_of(options, payloads), flags_of(options, all_flags), pinfo, root)
        end
    end
end

register_postdissector(tcpcrypt)
