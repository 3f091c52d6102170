// The options that the outcome of a training depends on, one by one.
#pragma once

#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>

#include "commands.hpp"

namespace mnist {

// A value as text that is read back as the same value.
inline std::string text_of(const std::string& value) { return value; }
template <class Number>
std::string text_of(Number value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

// f(name, value) for each of them, by its name on the command line; Options is train_options, const or not.
template <class Options, class F>
void for_each_hyperparameter(Options& o, F&& f) {
  f("limit", o.limit);
  f("validation", o.validation);
  f("crop_padding", o.crop_padding);
  f("flip", o.flip);
  f("pixel_mean", o.pixel_mean);
  f("pixel_stddev", o.pixel_stddev);
  f("width", o.model.width);
  f("steps", o.model.steps);
  f("readout", o.model.readout);
  f("v_th", o.model.v_th);
  f("tau", o.model.tau);
  f("a", o.model.a);
  f("epochs", o.epochs);
  f("train_batch_size", o.train_batch_size);
  f("val_batch_size", o.val_batch_size);
  f("test_batch_size", o.test_batch_size);
  f("optimizer", o.optimizer);
  f("lr", o.lr);
  f("schedule", o.schedule);
  f("momentum", o.momentum);
  f("weight_decay", o.weight_decay);
  f("clip_norm", o.clip_norm);
  f("patience", o.patience);
  f("recalibrate", o.recalibrate);
  f("seed", o.seed);
}

}  // namespace mnist
