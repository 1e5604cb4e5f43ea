// Command-line arguments as a tree: parse words into it, read values from it, print it.
//
// A group opens the names of its members, a choice opens the members of what was chosen, everything else
// holds one value. Words are taken by the innermost open group that knows their name, so
// `adapt delta=0.9 num_chains=4` leaves `adapt` by itself.
#ifndef BAYESDE_ARGUMENTS_HPP
#define BAYESDE_ARGUMENTS_HPP

#include <cmath>
#include <cstdlib>
#include <limits>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bayesde {

// What the user typed, or a file that was named, cannot be used; the message is for the user.
struct usage_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class kind { group, choice, whole, real, flag, text };

// The numbers an argument allows; open excludes both ends.
struct range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool open = false;

  bool contains(double x) const { return open ? low < x && x < high : low <= x && x <= high; }

  std::string words() const {
    const std::string from = number(low), to = number(high);
    if (std::isfinite(low) && std::isfinite(high))
      return " from " + from + " to " + to + (open ? ", both excluded" : "");
    if (std::isfinite(low))
      return open ? " above " + from : ", " + from + " or more";
    return "";
  }

  static std::string number(double x) {
    std::string text = std::to_string(x);
    text.erase(text.find_last_not_of('0') + 1);
    return text.back() == '.' ? text.substr(0, text.size() - 1) : text;
  }
};

struct argument {
  std::string name;
  kind type;
  std::string value;
  range allowed;
  std::vector<argument> members;  // of a group; of a choice: its alternatives, each a group
  bool is_default = true;

  // The member of that name; in a choice, of what was chosen.
  const argument& operator[](const std::string& key) const {
    if (type == kind::choice)
      return chosen()[key];
    for (const auto& member : members)
      if (member.name == key)
        return member;
    throw std::logic_error("no argument " + name + "." + key);
  }

  const argument& chosen() const {
    for (const auto& member : members)
      if (member.name == value)
        return member;
    throw std::logic_error("no alternative " + value + " of " + name);
  }
  argument& chosen() { return const_cast<argument&>(std::as_const(*this).chosen()); }

  long long whole() const { return std::strtoll(value.c_str(), nullptr, 10); }
  double real() const { return std::strtod(value.c_str(), nullptr); }
  bool flag() const { return value == "1"; }
  bool is(const std::string& text) const { return value == text; }
};

inline argument group(std::string name, std::vector<argument> members) {
  return {std::move(name), kind::group, "", {}, std::move(members)};
}
inline argument choice(std::string name, std::string value, std::vector<argument> alternatives) {
  return {std::move(name), kind::choice, std::move(value), {}, std::move(alternatives)};
}
inline argument whole(std::string name, std::string value, range allowed) {
  return {std::move(name), kind::whole, std::move(value), allowed, {}};
}
inline argument real(std::string name, std::string value, range allowed) {
  return {std::move(name), kind::real, std::move(value), allowed, {}};
}
inline argument flag(std::string name, std::string value) {
  return {std::move(name), kind::flag, std::move(value), {}, {}};
}
inline argument text(std::string name, std::string value) {
  return {std::move(name), kind::text, std::move(value), {}, {}};
}

// Names that may be typed somewhere below `node`, given what was chosen so far.
inline void list_names(const argument& node, std::vector<std::string>& names) {
  for (const auto& member : node.members) {
    names.push_back(member.name);
    list_names(member.type == kind::choice ? member.chosen() : member, names);
  }
}

inline std::string joined(const std::vector<std::string>& names) {
  std::string line;
  for (const auto& name : names)
    line += (line.empty() ? "" : ", ") + name;
  return line;
}

[[noreturn]] inline void reject(const argument& node, const std::string& value, const std::string& allowed) {
  throw usage_error(node.name + "=" + value + " is not allowed: " + node.name + " takes " + allowed);
}

inline void set_number(argument& node, const std::string& value) {
  const bool is_whole = node.type == kind::whole;
  const std::string allowed = (is_whole ? "a whole number" : "a number") + node.allowed.words();
  char* end = nullptr;
  const double number = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !std::isfinite(number) || !node.allowed.contains(number))
    reject(node, value, allowed);
  if (is_whole && value.find_first_not_of("+-0123456789") != std::string::npos)
    reject(node, value, allowed);
  node.value = value;
}

inline void set_flag(argument& node, const std::string& value) {
  if (value == "1" || value == "true")
    node.value = "1";
  else if (value == "0" || value == "false")
    node.value = "0";
  else
    reject(node, value, "0, 1, true or false");
}

inline void set_choice(argument& node, const std::string& value) {
  std::vector<std::string> names;
  for (const auto& member : node.members)
    names.push_back(member.name);
  for (const auto& name : names)
    if (name == value) {
      node.value = value;
      return;
    }
  reject(node, value, "one of " + joined(names));
}

inline void set_value(argument& node, const std::string& value) {
  node.is_default = false;
  switch (node.type) {
    case kind::group:
      reject(node, value, "no value, but arguments after it");
    case kind::choice:
      return set_choice(node, value);
    case kind::flag:
      return set_flag(node, value);
    case kind::text:
      node.value = value;
      return;
    default:
      return set_number(node, value);
  }
}

// Does a bare word choose one of this choice's alternatives (`optimize` for `method=optimize`)?
inline bool names_alternative(const argument& node, const std::string& word) {
  if (node.type != kind::choice)
    return false;
  for (const auto& member : node.members)
    if (member.name == word)
      return true;
  return false;
}

using words = std::vector<std::string>;
inline void parse_members(argument& node, const words& given, std::size_t& at);

// Take the word at `at` (and what belongs to it) if this group knows it.
inline bool parse_word(argument& node, const words& given, std::size_t& at) {
  const std::string word = given[at];
  const std::size_t equals = word.find('=');
  const std::string key = word.substr(0, equals);
  for (auto& member : node.members) {
    const bool is_bare_choice = equals == std::string::npos && names_alternative(member, word);
    if (member.name != key && !is_bare_choice)
      continue;
    if (is_bare_choice)
      set_value(member, word);
    else if (equals != std::string::npos)
      set_value(member, word.substr(equals + 1));
    else if (member.type != kind::group)
      throw usage_error(key + " needs a value: " + key + "=...");
    ++at;
    parse_members(member.type == kind::choice ? member.chosen() : member, given, at);
    return true;
  }
  return false;
}

inline void parse_members(argument& node, const words& given, std::size_t& at) {
  while (at < given.size() && parse_word(node, given, at)) {
  }
}

inline void parse(argument& root, const words& given) {
  std::size_t at = 0;
  parse_members(root, given, at);
  if (at == given.size())
    return;
  std::vector<std::string> names;
  list_names(root, names);
  throw usage_error("unknown argument '" + given[at] + "'; known here: " + joined(names));
}

// The lines of a CSV file's header: `# name = value (Default)`, indented by depth.
inline void print_comments(const argument& node, std::ostream& out, std::size_t depth = 0) {
  const std::string indent = "# " + std::string(2 * depth, ' ');
  for (const auto& member : node.members) {
    if (member.type == kind::group) {
      out << indent << member.name << "\n";
      print_comments(member, out, depth + 1);
      continue;
    }
    out << indent << member.name << " = " << member.value << (member.is_default ? " (Default)" : "") << "\n";
    if (member.type != kind::choice || member.chosen().members.empty())
      continue;
    out << indent << "  " << member.value << "\n";
    print_comments(member.chosen(), out, depth + 2);
  }
}

// Write the same tree through a writer of JSON records (begin_record, write, end_record).
template <typename Writer>
void write_records(const argument& node, Writer& out) {
  for (const auto& member : node.members) {
    switch (member.type) {
      case kind::group:
        out.begin_record(member.name);
        write_records(member, out);
        out.end_record();
        break;
      case kind::choice:
        out.begin_record(member.name);
        out.write("value", member.value);
        if (!member.chosen().members.empty()) {
          out.begin_record(member.value);
          write_records(member.chosen(), out);
          out.end_record();
        }
        out.end_record();
        break;
      case kind::whole:
        out.write(member.name, member.whole());
        break;
      case kind::real:
        out.write(member.name, member.real());
        break;
      case kind::flag:
        out.write(member.name, member.flag());
        break;
      case kind::text:
        out.write(member.name, member.value);
    }
  }
}

}  // namespace bayesde
#endif
