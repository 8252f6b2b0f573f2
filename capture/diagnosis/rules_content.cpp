// What the gateway says of the message itself, in its reply to DATA's end: spam, viruses, attachments, headers.
#include "capture/diagnosis/tables.h"

namespace smtpscope {
namespace {

constexpr Rule kRules[] = {
    {.code = "message-quarantined",
     .title = "The gateway put the message into quarantine",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway keeps the message aside and tells the sender that it was not delivered.",
     .advice = "Do not ask for the mail again: look for it in the gateway's quarantine, and release it there if it is "
               "wanted.",
     .references = {"RFC 5321 4.1.1.4", "RFC 3463 3.8"},
     .fires = "use hello mail rcpt data body\nG!550 5.7.1 Message quarantined by policy\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 virus found\nuse bye\n",
     .reply = {kContent, 400, 599, "", "quarantin"}},
    {.code = "content-virus",
     .title = "The gateway found a virus in the message",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway's scanner takes a part of the message for malicious software.",
     .advice = "Do not exempt the sender. Tell it the name in the reply and the file: its machine or account may be "
               "infected. If it is a false alarm, hand the file to the scanner's maker; meanwhile send it another "
               "way.",
     .references = {"RFC 5321 4.1.1.4", "RFC 3463 3.8"},
     .fires = "use hello mail rcpt data body\nG!554 5.7.1 virus Eicar-Test-Signature found\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 rejected by antivirus.gw.example\nuse bye\n",
     .reply = {kContent, 500, 599, "", " virus|(virus|malware|infected|trojan|eicar"}},
    {.code = "content-attachment",
     .title = "The gateway does not allow an attachment of the message",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The message holds a file of a kind that the gateway's rules forbid (programs, scripts, archives that it "
            "cannot open), whatever is in it.",
     .advice = "Tell the sender which kinds are forbidden; it can share the file by a link. An encrypted archive is "
               "often enough. To let it in, exempt the pair of addresses in the attachment filter.",
     .references = {"RFC 5321 4.1.1.4", "RFC 3463 3.8"},
     .fires = "use hello mail rcpt data body\nG!~552-5.7.0 This message was blocked because its content presents a "
              "potential\\r\\n552 5.7.0 security issue. Please review our attachment guidelines\\r\\n\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 Spam message rejected\nuse bye\n",
     .reply = {kContent, 500, 599, "",
               "attachment|file type|filetype|banned: |banned file|potential security issue|blocked file|forbidden "
               "file|file extension|file name extension|filename extension"}},
    {.code = "content-spam",
     .title = "The gateway takes the message for spam",
     .phase = Phase::end_of_data,
     .party = Party::policy,
     .expected = "250",
     .why = "The gateway's spam filter judged the message as a whole: its words, links, headers and sender.",
     .advice =
         "Look in the filter's log for the score and the rules that made it (rspamd, SpamAssassin, Cisco: CASE in "
         "mail_logs). If the mail was wanted, add the sender to the allow list or report it as a false positive; "
         "the sender can check its SPF, DKIM, links and reputation.",
     .references = {"RFC 5321 4.1.1.4", "RFC 3463 3.8"},
     .fires = "use hello mail rcpt data body\nG!554 5.7.1 Spam message rejected\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 550 5.7.1 rejected, ask postmaster at antispam.gw.example\nuse bye\n",
     .reply =
         {kContent, 500, 599, "",
          "spam message|spam content|spam score|spam points|spam detected|spam found|spam filter|is spam|as spam|be "
          "spam|like spam|due to spam|suspected spam|considered spam|possible spam|probability of spam|rejected, "
          "spam|- spam|spam rejected|spamassassin|unsolicited|bulk mail|junk mail|gtube"}},
    {.code = "message-header-invalid",
     .title = "The header of the message is not as it should be",
     .phase = Phase::end_of_data,
     .party = Party::sender,
     .expected = "one From: with one valid address, one Date:, no line twice",
     .why = "The gateway insists on a well-formed header, and this one lacks a line, has one twice, or one that cannot "
            "be read.",
     .advice = "Read the header as the sender sent it and compare it with the reply: mostly From: is "
               "missing, empty or double, or Date: or Message-ID: is missing. A script or device that builds its mail "
               "itself has to be mended.",
     .references = {"RFC 5322 3.6", "RFC 5321 6.4"},
     .fires = "use hello mail rcpt data body\nG!~550-5.7.1 Messages missing a valid address in From:\\r\\n550 5.7.1 "
              "header, or having no From: header, are not accepted.\\r\\n\nuse bye\n",
     .quiet = "use hello mail rcpt data body\nG 554 5.7.1 Spam message rejected\nuse bye\n",
     .reply = {in(Phase::body) | in(Phase::end_of_data), 500, 599, "7.512",
               "not rfc 5322|not rfc 2822|rfc 5322 compliant|rfc 5322 section 3.6|header is missing|missing a valid "
               "address in from|no from: header|from: header|headers fail syntax|header syntax|no valid sender in any "
               "header|bad_header|bad header|message is malformed|malformed message|multiple addresses in from|"
               "duplicate header|missing message-id|missing date|missing required header|missing header|header missing|"
               "invalid header|header is invalid|message headers"}},
};

}  // namespace

std::span<const Rule> rules_content() { return kRules; }

}  // namespace smtpscope
