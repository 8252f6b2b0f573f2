// SPF records term by term: what they say, and what RFC 7208's grammar refuses.
#include "proxy/names/spf_record.h"
#include "tests/catch.h"

using namespace smtpscope;

namespace {

SpfTerm term(const std::string& text) {
  INFO(text);
  const auto record = parse_spf_record("v=spf1 " + text);
  REQUIRE(record);
  REQUIRE(record->terms.size() == 1);
  return record->terms.front();
}

}  // namespace

TEST_CASE("each mechanism is understood") {
  CHECK(term("-all").kind == SpfTerm::Kind::all);
  CHECK(term("-ALL").qualifier == SpfTerm::Qualifier::fail);
  CHECK(term("~all").qualifier == SpfTerm::Qualifier::softfail);
  CHECK(term("?all").qualifier == SpfTerm::Qualifier::neutral);
  CHECK(term("+a").qualifier == SpfTerm::Qualifier::pass);
  CHECK(term("ip4:192.0.2.77/24").range->first.to_string() == "192.0.2.0");
  CHECK(term("ip6:2001:DB8::1").range->last.to_string() == "2001:db8::1");
  CHECK_FALSE(term("ip6:::ffff:192.0.2.1").range);
  const SpfTerm a = term("a:B.example/24//64");
  CHECK(a.domain == "B.example");
  CHECK(a.bits4 == 24);
  CHECK(a.bits6 == 64);
  CHECK(term("a//64").bits6 == 64);
  CHECK(term("mx/0").bits4 == 0);
  CHECK(term("mx:m.example").domain == "m.example");
  CHECK(term("include:_spf.x.example").domain == "_spf.x.example");
  CHECK(term("exists:%{ir}.%{v}._spf.%{d2}").domain == "%{ir}.%{v}._spf.%{d2}");
  CHECK(term("ptr").kind == SpfTerm::Kind::ptr);
  CHECK(term("a:%{d/}").domain == "%{d/}");
}

TEST_CASE("modifiers are taken in, unknown ones passed over, and all ends the record") {
  const auto record = parse_spf_record("v=spf1  a   exp=why.%{d}  moo=foo/bar=baz redirect=x.example ");
  REQUIRE(record);
  CHECK(record->redirect == "x.example");
  CHECK(record->terms.size() == 1);
  const auto all = parse_spf_record("v=spf1 redirect=x.example -all mx");
  REQUIRE(all);
  CHECK(all->redirect.empty());
  CHECK(all->terms.size() == 1);
  CHECK(parse_spf_record("v=spf1")->terms.empty());
}

TEST_CASE("what the grammar does not know is refused") {
  for (const char* text : {"ip4",
                           "ip4:",
                           "ip4:192.0.2",
                           "ip4:192.0.2.1/33",
                           "ip4:192.0.2.1/024",
                           "ip4:192.0.2.1//24",
                           "ip4:2001:db8::1",
                           "ip4:192.0.2.1:25",
                           "ip4/24",
                           "ip6:192.0.2.1",
                           "ip6:2001:db8::/129",
                           "ip6:2001:db8::g",
                           "all:x.example",
                           "all/8",
                           "-all.",
                           "a:",
                           "a:museum",
                           "a:x.example:25",
                           "a/33",
                           "a//129",
                           "a/24/64",
                           "a:/24",
                           "a:x.example/",
                           "a:1.2.3.4",
                           "mx:x.e-",
                           "include",
                           "include:",
                           "include:x.example/24",
                           "exists",
                           "exists:%{i",
                           "exists:%{x}.x.example",
                           "exists:%{d0}.x.example",
                           "exists:%a.example",
                           "ptr:",
                           "ptr/24",
                           "redirect=",
                           "redirect=x",
                           "exp=",
                           "redirect=a.example redirect=b.example",
                           "exp=a.b exp=a.b",
                           "=x",
                           "foo",
                           "foo:bar",
                           "++all",
                           "%{d}",
                           "x=%{c}",
                           "include:x.\xC3\xA4.example",
                           "+"}) {
    INFO(text);
    CHECK_FALSE(parse_spf_record(std::string("v=spf1 ") + text));
  }
  CHECK_FALSE(is_spf_record("v=spf1-all"));
  CHECK_FALSE(is_spf_record("v=spf"));
  CHECK_FALSE(is_spf_record("v=spf10"));
  CHECK(is_spf_record("V=spf1 -all"));
}

TEST_CASE("only macros that are the same for all sessions make a name") {
  CHECK(spf_domain("A.Example.", "p.example") == "a.example");
  CHECK(spf_domain("_x.%{d}", "p.example") == "_x.p.example");
  CHECK(spf_domain("%{D}", "p.example") == "p.example");
  CHECK(spf_domain("a%%b%_%-.example", "p.example") == "a%b %20.example");
  CHECK_FALSE(spf_domain("%{d1}", "p.example"));
  CHECK_FALSE(spf_domain("%{i}.x.example", "p.example"));
}
