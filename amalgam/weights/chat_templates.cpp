#include "amalgam/weights/chat_templates.hpp"

#include <algorithm>
#include <array>

namespace amalgam {
namespace {

struct NamedTemplate {
  std::string_view name;
  const char* text;
};

constexpr std::array kTemplates = {
    NamedTemplate{"chatml",
                  "{% for message in messages %}"
                  "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
                  "+ '<|im_end|>\\n' }}"
                  "{% endfor %}"
                  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"},
    NamedTemplate{"llama3",
                  "{{ bos_token }}"
                  "{% for message in messages %}"
                  "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' "
                  "+ message['content'] | trim + '<|eot_id|>' }}"
                  "{% endfor %}"
                  "{% if add_generation_prompt %}"
                  "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"},
    // A system message goes before the first message of the user.
    NamedTemplate{"mistral",
                  "{{ bos_token }}"
                  "{% set pending = namespace(text='') %}"
                  "{% for message in messages %}"
                  "{% if message['role'] == 'system' %}"
                  "{% set pending.text = message['content'] + '\\n\\n' %}"
                  "{% elif message['role'] == 'user' %}"
                  "{{ '[INST] ' + pending.text + message['content'] + ' [/INST]' }}"
                  "{% set pending.text = '' %}"
                  "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
                  "{% endfor %}"},
    NamedTemplate{"alpaca",
                  "{% for message in messages %}"
                  "{% if message['role'] == 'system' %}{{ message['content'] + '\\n\\n' }}"
                  "{% elif message['role'] == 'user' %}"
                  "{{ '### Instruction:\\n' + message['content'] + '\\n\\n' }}"
                  "{% else %}{{ '### Response:\\n' + message['content'] + eos_token + '\\n\\n' }}"
                  "{% endif %}{% endfor %}"
                  "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"},
};

}  // namespace

const char* find_chat_template(std::string_view name) {
  const auto found =
      std::find_if(kTemplates.begin(), kTemplates.end(),
                   [&](const NamedTemplate& candidate) { return candidate.name == name; });
  return found == kTemplates.end() ? nullptr : found->text;
}

std::vector<std::string> chat_template_names() {
  std::vector<std::string> names;
  for (const NamedTemplate& known : kTemplates) names.emplace_back(known.name);
  return names;
}

}  // namespace amalgam
